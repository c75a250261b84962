#!/bin/sh
# Make this machine an instance: fetch the agent from the gateway, check who published it, install, register, start.
#
#   curl -fsSL @GATEWAY@/install.sh | sudo sh -s -- --activation-id ID --activation-code CODE
#
# The archive is checked against the signature of a publisher, not only against a digest from the same place. Nothing is
# changed before that. It may be run again: what is there is kept, and no second use of the activation is taken.
set -eu
umask 022

gateway='@GATEWAY@'
# One publisher a line: key id, a space, the public key (Base64 of its 32 bytes).
publishers='@PUBLISHERS@'
name=cloud-assistant-agent
# On the machine itself, also where that is still an image.
program=/opt/cloud-assistant/current/bin/assist-agent

usage() {
  cat <<'END'
usage: install.sh [--activation-id ID] [--activation-code CODE] [option …]

  --activation-id ID      which activation; without one the agent is installed and not registered
  --activation-code CODE  its code; or in the environment as CLOUD_ASSISTANT_ACTIVATION_CODE
  --name NAME             a name for people
  --gateway URL           another gateway than the one this script came from
  --ca-file FILE          certificates (PEM) that vouch for the gateway; the agent goes on using this file,
                          in an image a copy beside its settings
  --publisher ID          accept this publisher's key only; ID is the beginning of the SHA-256 of the key
  --version VERSION       another version than the latest
  --root FOLDER           work in an image of a machine at this folder; nothing is started
  --no-service            make no service
  --no-start              install the service and do not start it
  --force-new             take another use of the activation although this machine is registered
  --allow-http            speak to a gateway elsewhere without encryption

exit codes: 0 done; 1 something failed; 2 wrong usage; 3 the gateway does not answer; 4 refused
END
}

say() { printf 'install: %s\n' "$*" >&2; }
fail() { code=$1; shift; say "$*"; exit "$code"; }
has() { command -v "$1" >/dev/null 2>&1; }

download() { # URL FILE
  if has curl; then
    if [ -n "$ca_file" ]; then set -- "$@" --cacert "$ca_file"; fi
    url=$1; to=$2; shift 2
    curl -fsS --retry 3 --connect-timeout 20 -o "$to" "$@" "$url"
  elif has wget; then
    if [ -n "$ca_file" ]; then wget -q --ca-certificate="$ca_file" -O "$2" "$1"; else wget -q -O "$2" "$1"; fi
  elif has fetch; then
    if [ -n "$ca_file" ]; then fetch -q --ca-cert="$ca_file" -o "$2" "$1"; else fetch -q -o "$2" "$1"; fi
  else
    fail 1 "neither curl nor wget nor fetch is here; install one of them"
  fi
}

sha256_of() { # FILE
  if has sha256sum; then sha256sum <"$1" | cut -d ' ' -f 1
  elif has shasum; then shasum -a 256 <"$1" | cut -d ' ' -f 1
  elif has sha256; then sha256 -q <"$1"
  elif has openssl; then openssl dgst -sha256 <"$1" | sed 's/.* //'
  else fail 1 "no sha256sum, shasum, sha256 or openssl is here; install one of them"
  fi
}

find_python() {
  for candidate in python3 python2 python /usr/libexec/platform-python; do
    if "$candidate" -c 'import hashlib' >/dev/null 2>&1; then printf '%s' "$candidate"; return; fi
  done
}

# Tell whether a publisher's key made a signature: by openssl where it can, else by the arithmetic of RFC 8032.
signature_is_right() { # KEY(base64) SIGNATURE(base64) MESSAGE-FILE
  if has openssl && openssl pkeyutl -help 2>&1 | grep -q -e '-rawin'; then
    # The twelve bytes before every Ed25519 key in this form end where a group of Base64 ends.
    printf -- '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s\n-----END PUBLIC KEY-----\n' "$1" >"$scratch/key.pem"
    printf '%s\n' "$2" | openssl base64 -d -A >"$scratch/signature.bin"
    openssl pkeyutl -verify -pubin -inkey "$scratch/key.pem" -rawin -in "$3" -sigfile "$scratch/signature.bin" \
      >/dev/null 2>&1
    return
  fi
  python=$(find_python)
  if [ -z "$python" ]; then
    fail 1 "the publisher's signature cannot be checked: neither OpenSSL 3 nor any Python is here; install one of them"
  fi
  "$python" - "$1" "$2" "$3" <<'END'
import base64, binascii, hashlib, sys

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P

def number(data):
    return int(binascii.hexlify(data[::-1]), 16)

def point(data):
    y = number(data)
    sign, y = y >> 255, y & ((1 << 255) - 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (v * x * x - u) % P or (x == 0 and sign):
        sys.exit(1)
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)

def plus(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)

def times(factor, a):
    total = (0, 1, 1, 0)
    while factor:
        total = plus(total, a) if factor & 1 else total
        a, factor = plus(a, a), factor >> 1
    return total

key, signature = base64.b64decode(sys.argv[1]), base64.b64decode(sys.argv[2])
with open(sys.argv[3], "rb") as file:
    message = file.read()
if len(key) != 32 or len(signature) != 64 or number(signature[32:]) >= ORDER:
    sys.exit(1)
challenge = number(hashlib.sha512(signature[:32] + key + message).digest()) % ORDER
left = times(number(signature[32:]), point(b"\x58" + b"\x66" * 31))
right = plus(point(signature[:32]), times(challenge, point(key)))
same = all((left[axis] * right[2] - right[axis] * left[2]) % P == 0 for axis in (0, 1))
sys.exit(0 if same else 1)
END
}

# Write the key of the publisher that signed, after the signature was found right.
check_signature() { # SIGNATURE-FILE; leaves the statement in $scratch/statement
  if [ "$(wc -c <"$1")" -gt 4096 ] || [ "$(sed -n 1p "$1")" != 'cloud-assistant signature 1' ]; then
    fail 4 "what the gateway calls a signature is none"
  fi
  key_id=$(sed -n '2s/^key \([0-9a-f]\{16\}\)$/\1/p' "$1")
  signature=$(sed -n '3s/^signature \([A-Za-z0-9+/=]*\)$/\1/p' "$1")
  sed -n '4s/^statement //p' "$1" | tr -d '\n' >"$scratch/statement"
  key=$(printf '%s\n' "$publishers" | sed -n "s/^$key_id //p")
  if [ -z "$key_id" ] || [ -z "$key" ]; then
    fail 4 "the agent is signed by publisher ${key_id:-(none)}, whom this gateway does not name"
  fi
  case $key_id in "$publisher"*) ;; *)
    case $publisher in "$key_id"*) ;; *) fail 4 "the agent is signed by $key_id, not by $publisher" ;; esac ;;
  esac
  found=''
  if has openssl; then
    printf '%s\n' "$key" | openssl base64 -d -A >"$scratch/key.bin"
    found=$(sha256_of "$scratch/key.bin")
  else
    python=$(find_python)
    if [ -n "$python" ]; then
      found=$("$python" -c 'import base64, hashlib, sys
print(hashlib.sha256(base64.b64decode(sys.argv[1])).hexdigest())' "$key")
    fi
  fi
  # Where there is neither, nothing can check the signature either, which is said there.
  if [ -n "$found" ]; then
    case $found in "$key_id"*) ;; *) fail 4 "the key of publisher $key_id is another one" ;; esac
    case $found in "$publisher"*) ;; *) fail 4 "the key of publisher $key_id is not $publisher" ;; esac
  fi
  signature_is_right "$key" "$signature" "$scratch/statement" || fail 4 "publisher $key_id did not sign this agent"
}

stated() { # FIELD
  sed -n 's/.*"'"$1"'":"\{0,1\}\([A-Za-z0-9._+-]*\).*/\1/p' "$scratch/statement"
}

this_system() {
  case $(uname -s) in
    Linux) os=linux ;; FreeBSD) os=freebsd ;; Darwin) os=darwin ;;
    *) fail 1 "there is no agent for $(uname -s)" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=x86_64 ;; aarch64 | arm64) arch=aarch64 ;;
    *) arch=$(uname -m) ;;
  esac
}

fetch_agent() {
  download "$gateway/packages/$name/$wanted/$os/$arch" "$scratch/sig" ||
    fail 3 "$gateway has no agent $wanted for $os/$arch, or does not answer"
  check_signature "$scratch/sig"
  version=$(stated version)
  sha256=$(stated sha256)
  if [ "$(stated name) $(stated os) $(stated arch)" != "$name $os $arch" ] || [ -z "$version" ] || [ -z "$sha256" ]; then
    fail 4 "publisher $key_id signed $(stated name) for $(stated os)/$(stated arch), not an agent for $os/$arch"
  fi
  if [ "$wanted" != latest ] && [ "$wanted" != "$version" ]; then
    fail 4 "the gateway gave $version for $wanted"
  fi
  if [ -x "$prefix/versions/$version/bin/assist-agent" ]; then
    say "$name $version is there already"
    return
  fi
  say "fetching $name $version for $os/$arch ($(stated size) bytes)"
  download "$gateway/files/$sha256" "$scratch/archive" || fail 3 "$gateway does not give the archive"
  if [ "$(sha256_of "$scratch/archive")" != "$sha256" ]; then
    fail 4 "the archive is not the one that publisher $key_id signed"
  fi
  mkdir -p "$prefix/versions"
  fresh="$prefix/versions/.$version.$$"
  mkdir "$fresh"
  gzip -dc "$scratch/archive" | (cd "$fresh" && tar -xf -)
  [ -x "$fresh/$name-$version/bin/assist-agent" ] || fail 4 "the archive holds no agent $version"
  # What a power failure left half of would be taken for what is there already, the next time.
  if has sync; then sync; fi
  rm -rf "$prefix/versions/$version"
  mv "$fresh/$name-$version" "$prefix/versions/$version"
  rmdir "$fresh"
}

install_agent() {
  ln -sfn "versions/$version" "$prefix/current"
  mkdir -p "$root/etc/cloud-assistant/publishers"
  chmod 0700 "$root/etc/cloud-assistant"
  printf -- '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s\n-----END PUBLIC KEY-----\n' "$key" \
    >"$root/etc/cloud-assistant/publishers/$key_id.pub"
  mkdir -p "$root/var/lib/cloud-assistant"
  chmod 0700 "$root/var/lib/cloud-assistant"
  if [ -d "$root/usr/local/bin" ]; then ln -sfn "$program" "$root/usr/local/bin/assist-agent"; fi
  say "installed $name $version in $prefix"
}

register() {
  config="$root/etc/cloud-assistant/config.toml"
  if [ -z "$activation_id" ]; then
    [ -f "$config" ] || say "not registered: no --activation-id. Later: $program register --gateway $gateway …"
    return 0
  fi
  set -- --gateway "$gateway" --activation-id "$activation_id"
  if [ -n "$root" ]; then set -- "$@" --root "$root"; else set -- "$@" --config "$config" --home /var/lib/cloud-assistant; fi
  if [ -n "$instance_name" ]; then set -- "$@" --name "$instance_name"; fi
  if [ -n "$ca_file" ]; then set -- "$@" --ca-file "$ca_file"; fi
  if [ -n "$allow_http" ]; then set -- "$@" --allow-http; fi
  if [ -n "$force_new" ]; then set -- "$@" --force-new; fi
  # In the environment, where other users of the machine do not see it.
  CLOUD_ASSISTANT_ACTIVATION_CODE=$activation_code "$agent" register "$@" || exit $?
}

install_service() {
  if [ -n "$root" ]; then set -- --root "$root" --no-start --program "$program"
  elif [ -n "$start" ]; then set --
  else set -- --no-start; fi
  if ! "$agent" install "$@"; then
    fail 4 "all else is done; the service is not made. Have what starts programs on this machine run: $program run"
  fi
}

main() {
  activation_id=${CLOUD_ASSISTANT_ACTIVATION_ID:-} activation_code=${CLOUD_ASSISTANT_ACTIVATION_CODE:-}
  instance_name='' ca_file='' publisher='' wanted=latest root='' start=yes service=yes force_new='' allow_http=''
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; return ;;
      --no-start) start='' ;;
      --no-service) service='' ;;
      --force-new) force_new=yes ;;
      --allow-http) allow_http=yes ;;
      --activation-id | --activation-code | --name | --gateway | --ca-file | --publisher | --version | --root)
        [ $# -ge 2 ] || fail 2 "$1 needs a value; --help tells more"
        case $1 in
          --activation-id) activation_id=$2 ;; --activation-code) activation_code=$2 ;; --name) instance_name=$2 ;;
          --gateway) gateway=${2%/} ;; --ca-file) ca_file=$2 ;; --publisher) publisher=$2 ;;
          --version) wanted=$2 ;; --root) root=${2%/} ;;
        esac
        shift ;;
      *) fail 2 "$1 is not an option; --help shows them" ;;
    esac
    shift
  done
  case $gateway in
    https://*) ;;
    http://127.0.0.1 | http://127.0.0.1:* | http://localhost | http://localhost:* | 'http://[::1]' | 'http://[::1]:'*) ;;
    *) [ -n "$allow_http" ] || fail 2 "$gateway is not encrypted; use https://, or --allow-http on a trusted network" ;;
  esac
  [ -z "$activation_id" ] || [ -n "$activation_code" ] || fail 2 "--activation-id needs --activation-code"
  # The agent goes on using it: `register` writes its whole path into the settings, or copies it into the image.
  [ -z "$ca_file" ] || [ -f "$ca_file" ] || fail 2 "--ca-file: there is no file $ca_file"
  [ -n "$publishers" ] || fail 4 "$gateway names no publisher; its operator has to put a public key into its publishers"
  if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then fail 2 "run this as root (sudo), or name an image with --root"; fi
  prefix="$root/opt/cloud-assistant"
  agent="$root$program"
  scratch=$(mktemp -d) fresh=''
  trap 'rm -rf "$scratch" ${fresh:+"$fresh"}' EXIT
  trap 'exit 1' HUP INT TERM
  this_system
  fetch_agent
  install_agent
  register
  if [ -n "$service" ]; then install_service; fi
  if [ -z "$service$root" ]; then say "no service was made; run: $agent run"; fi
}

# The last line: a download that was cut off does nothing.
main "$@"
