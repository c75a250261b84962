# Make this machine an instance: fetch the agent from the gateway, check who published it, install, register, start.
#
#   $env:CLOUD_ASSISTANT_ACTIVATION_ID = 'ID'; $env:CLOUD_ASSISTANT_ACTIVATION_CODE = 'CODE'
#   irm @GATEWAY@/install.ps1 | iex
#
# The archive is checked against the signature of a publisher, not only against a digest from the same place. Nothing is
# changed before that. It may be run again. CLOUD_ASSISTANT_PUBLISHER names the one publisher to accept;
# CLOUD_ASSISTANT_INSTANCE_NAME is a name for people. Needs Windows PowerShell 5.1 and tar (Windows Server 2019 or later).
function Install-CloudAssistant {
  $ErrorActionPreference = 'Stop'
  $ProgressPreference = 'SilentlyContinue'
  [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
  $gateway = '@GATEWAY@'
  # One publisher a line: key id, a space, the public key (Base64 of its 32 bytes).
  $publishers = '@PUBLISHERS@'
  $name = 'cloud-assistant-agent'

  function Stop-With([string] $text) { throw "install: $text" }

  # The arithmetic of RFC 8032: .NET has no Ed25519.
  # Only methods of BigInteger and its own operators, between numbers of that type: the shell's rules for others differ
  # from version to version.
  $one, $two, $halved = [bigint]1, [bigint]2, [bigint]::Pow(2, 255)
  $P = $halved - [bigint]19
  $order = [bigint]::Pow(2, 252) + [bigint]::Parse('27742317777372353535851937790883648493')
  function Get-Mod([bigint] $value, [bigint] $modulus) {
    $rest = [bigint]::Remainder($value, $modulus)
    if ($rest.Sign -lt 0) { return $rest + $modulus }
    return $rest
  }
  function Get-Power([bigint] $base, [bigint] $exponent) { return [bigint]::ModPow((Get-Mod $base $P), $exponent, $P) }
  $D = Get-Mod ([bigint]::Parse('-121665') * (Get-Power ([bigint]121666) ($P - $two))) $P
  # A zero byte behind it: the number is positive whatever its highest bit.
  function Get-Number([byte[]] $data) { return [bigint]::new([byte[]]($data + [byte]0)) }
  function Get-Point([byte[]] $data) {
    $whole = Get-Number $data
    $isOdd = $whole -ge $halved
    $y = [bigint]::Remainder($whole, $halved)
    $u = Get-Mod ($y * $y - $one) $P
    $v = Get-Mod ($D * $y * $y + $one) $P
    $root = Get-Power ($u * (Get-Power $v ([bigint]7))) ([bigint]::Divide($P - [bigint]5, [bigint]8))
    $x = Get-Mod ($u * (Get-Power $v ([bigint]3)) * $root) $P
    if (-not (Get-Mod ($v * $x * $x - $u) $P).IsZero) {
      $x = Get-Mod ($x * (Get-Power $two ([bigint]::Divide($P - $one, [bigint]4)))) $P
    }
    if ($y -ge $P -or -not (Get-Mod ($v * $x * $x - $u) $P).IsZero -or ($x.IsZero -and $isOdd)) {
      Stop-With 'a key or a signature is malformed'
    }
    if ($x.IsEven -eq $isOdd) { $x = $P - $x }
    return , @($x, $y, $one, (Get-Mod ($x * $y) $P))
  }
  function Add-Point($a, $b) {
    $e = Get-Mod (($a[1] - $a[0]) * ($b[1] - $b[0])) $P
    $f = Get-Mod (($a[1] + $a[0]) * ($b[1] + $b[0])) $P
    $g = Get-Mod ($two * $a[3] * $b[3] * $D) $P
    $h = Get-Mod ($two * $a[2] * $b[2]) $P
    return , @((Get-Mod (($f - $e) * ($h - $g)) $P), (Get-Mod (($h + $g) * ($f + $e)) $P),
      (Get-Mod (($h - $g) * ($h + $g)) $P), (Get-Mod (($f - $e) * ($f + $e)) $P))
  }
  function Get-Multiple([bigint] $factor, $a) {
    $total = @([bigint]::Zero, $one, $one, [bigint]::Zero)
    while (-not $factor.IsZero) {
      if (-not $factor.IsEven) { $total = Add-Point $total $a }
      $a = Add-Point $a $a
      $factor = [bigint]::Divide($factor, $two)
    }
    return , $total
  }
  function Test-Signature([byte[]] $key, [byte[]] $signature, [byte[]] $message) {
    if ($key.Length -ne 32 -or $signature.Length -ne 64) { return $false }
    $s = Get-Number $signature[32..63]
    if ($s -ge $order) { return $false }
    $hash = [Security.Cryptography.SHA512]::Create().ComputeHash([byte[]]($signature[0..31] + $key + $message))
    $challenge = Get-Mod (Get-Number $hash) $order
    $base = [byte[]](@(0x58) + @(0x66) * 31)
    $left = Get-Multiple $s (Get-Point $base)
    $right = Add-Point (Get-Point $signature[0..31]) (Get-Multiple $challenge (Get-Point $key))
    foreach ($axis in 0, 1) {
      if (-not (Get-Mod ($left[$axis] * $right[2] - $right[$axis] * $left[2]) $P).IsZero) { return $false }
    }
    return $true
  }

  if (-not ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole(
      [Security.Principal.WindowsBuiltInRole]::Administrator)) { Stop-With 'run this as an administrator' }
  if (-not $publishers) { Stop-With "$gateway names no publisher; its operator has to put a public key into its publishers" }
  if ($gateway -notmatch '^https://' -and $gateway -notmatch '^http://(127\.0\.0\.1|localhost)(:|$)') {
    Stop-With "$gateway is not encrypted; use https://"
  }
  $arch = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'aarch64' } else { 'x86_64' }
  $prefix = Join-Path $env:ProgramFiles 'CloudAssistant'
  $state = Join-Path $env:ProgramData 'CloudAssistant'
  $scratch = Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid())
  New-Item -ItemType Directory $scratch | Out-Null
  try {
    $answer = Invoke-WebRequest -UseBasicParsing "$gateway/packages/$name/latest/windows/$arch"
    $text = [Text.Encoding]::UTF8.GetString($answer.RawContentStream.ToArray())
    if (-not ($text -cmatch '^cloud-assistant signature 1\nkey ([0-9a-f]{16})\nsignature ([A-Za-z0-9+/=]+)\nstatement ([^\n]+)\n?$')) {
      Stop-With 'what the gateway calls a signature is none'
    }
    $keyId, $signature, $message = $Matches[1], [Convert]::FromBase64String($Matches[2]), $Matches[3]
    $line = $publishers -split "`n" | Where-Object { $_.StartsWith("$keyId ") } | Select-Object -First 1
    if (-not $line) { Stop-With "the agent is signed by publisher $keyId, whom this gateway does not name" }
    $key = [Convert]::FromBase64String($line.Split(' ')[1])
    $digest = [Security.Cryptography.SHA256]::Create().ComputeHash($key)
    $found = ([BitConverter]::ToString($digest) -replace '-').ToLowerInvariant()
    if (-not $found.StartsWith($keyId)) { Stop-With "the key of publisher $keyId is another one" }
    if ($env:CLOUD_ASSISTANT_PUBLISHER -and -not $found.StartsWith($env:CLOUD_ASSISTANT_PUBLISHER)) {
      Stop-With "the agent is signed by $keyId, not by $env:CLOUD_ASSISTANT_PUBLISHER"
    }
    if (-not (Test-Signature $key $signature ([Text.Encoding]::UTF8.GetBytes($message)))) {
      Stop-With "publisher $keyId did not sign this agent"
    }
    $stated = ConvertFrom-Json $message
    if ($stated.name -cne $name -or $stated.os -cne 'windows' -or $stated.arch -cne $arch) {
      Stop-With "publisher $keyId signed $($stated.name) for $($stated.os)/$($stated.arch)"
    }
    $target = Join-Path $prefix "versions\$($stated.version)"
    if (-not (Test-Path (Join-Path $target 'bin'))) {
      $archive = Join-Path $scratch 'agent.tar.gz'
      Invoke-WebRequest -UseBasicParsing "$gateway/files/$($stated.sha256)" -OutFile $archive
      if ((Get-FileHash -Algorithm SHA256 $archive).Hash.ToLowerInvariant() -cne $stated.sha256) {
        Stop-With "the archive is not the one that publisher $keyId signed"
      }
      tar -xf $archive -C $scratch
      if ($LASTEXITCODE -ne 0) { Stop-With 'the archive cannot be unpacked' }
      New-Item -ItemType Directory -Force (Join-Path $prefix 'versions') | Out-Null
      Move-Item (Join-Path $scratch "$name-$($stated.version)") $target
    }
    $current = Join-Path $prefix 'current'
    if (Test-Path $current) { (Get-Item $current).Delete() }
    New-Item -ItemType Junction -Path $current -Target $target | Out-Null
    New-Item -ItemType Directory -Force (Join-Path $state 'publishers') | Out-Null
    $pem = "-----BEGIN PUBLIC KEY-----`nMCowBQYDK2VwAyEA$($line.Split(' ')[1])`n-----END PUBLIC KEY-----`n"
    [IO.File]::WriteAllText((Join-Path $state "publishers\$keyId.pub"), $pem)
    # Credentials will lie here: for the system and for administrators alone.
    icacls $state /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
    $agent = Get-ChildItem (Join-Path $current 'bin') -Filter 'assist-agent*' | Select-Object -First 1 -ExpandProperty FullName
    $config = Join-Path $state 'config.toml'
    if ($env:CLOUD_ASSISTANT_ACTIVATION_ID) {
      $given = @('register', '--gateway', $gateway, '--config', $config, '--home', $state)
      if ($env:CLOUD_ASSISTANT_INSTANCE_NAME) { $given += @('--name', $env:CLOUD_ASSISTANT_INSTANCE_NAME) }
      & $agent @given
      if ($LASTEXITCODE -ne 0) { Stop-With 'the registration failed' }
    }
    & $agent install --config $config --home $state
    if ($LASTEXITCODE -ne 0) { Stop-With 'the service could not be installed' }
  } finally {
    Remove-Item -Recurse -Force $scratch -ErrorAction SilentlyContinue
  }
}

Install-CloudAssistant
