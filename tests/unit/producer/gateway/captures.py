"""Requests of real clients as recorded from the wire, key pair ``testid`` / ``testsecret``, and published vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest, path_of_target

KEY_ID = "testid"
SECRET = "testsecret"
FORM = {"content-type": "application/x-www-form-urlencoded"}
EMPTY_BODY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True)
class Capture:
    """One recorded request, and the action it asks for."""

    name: str
    action: str
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def __str__(self) -> str:
        return self.name

    def request(self) -> HttpRequest:
        """The request as the gateway sees it."""
        raw_path, _, query = self.target.partition("?")
        return HttpRequest(
            self.method,
            path_of_target(raw_path.encode()),
            query.encode(),
            [(name.encode(), value.encode()) for name, value in self.headers.items()],
            self.body.encode(),
        )


V1_CAPTURES = (
    Capture(
        "old SDK, CreateCommand",
        "CreateCommand",
        "POST",
        "/?CommandContent=ZWNobyAxMjM%3D&Type=RunShellScript&Name=test&Description=test&Version=2014-05-26"
        "&Action=CreateCommand&Format=JSON&RegionId=cn-hangzhou&Timestamp=2026-11-23T00%3A38%3A02Z"
        "&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0"
        "&SignatureNonce=d167eff94390d4c6d4de8e097ff06224&AccessKeyId=testid"
        "&Signature=AzEso%2FeWk%2BdGhfPT23uOvfXvt9Q%3D",
        {"x-acs-action": "CreateCommand", "x-acs-version": "2014-05-26", "accept": "*/*"},
    ),
    Capture(
        "old SDK, InvokeCommand on two instances",
        "InvokeCommand",
        "POST",
        "/?Timed=false&InstanceId.1=i-1&InstanceId.2=i-2&CommandId=c-hz0abc&Version=2014-05-26"
        "&Action=InvokeCommand&Format=JSON&RegionId=cn-hangzhou&Timestamp=2026-11-23T00%3A38%3A02Z"
        "&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0"
        "&SignatureNonce=e2ba2c9dd74e5ecef949c5a8d4eb7ce0&AccessKeyId=testid"
        "&Signature=GCZMCbLjAFmtom8jPRnudBwGR5w%3D",
    ),
    Capture(
        "old SDK, DescribeInvocationResults",
        "DescribeInvocationResults",
        "POST",
        "/?InstanceId=i-1&InvokeId=t-hz0abc&Version=2014-05-26&Action=DescribeInvocationResults&Format=JSON"
        "&RegionId=cn-hangzhou&Timestamp=2026-11-23T00%3A38%3A02Z&SignatureMethod=HMAC-SHA1&SignatureType="
        "&SignatureVersion=1.0&SignatureNonce=dacb2e595a452875937611d8dcdcf1f9&AccessKeyId=testid"
        "&Signature=b%2BLQI2qlKNxF9AK50IJ8Hdi7mSk%3D",
    ),
    Capture(
        "old SDK, RunCommand with awkward characters",
        "RunCommand",
        "POST",
        "/?Type=RunShellScript"
        "&CommandContent=echo%20%7B%7Bname%7D%7D%20%E4%BD%A0%E5%A5%BD%20%2B%2A~%2F%20%25%26%3D"
        "&InstanceId.1=i-1&InstanceId.2=i-2&Name=run%20test&EnableParameter=True&KeepCommand=False"
        "&Parameters=%7B%22name%22%3A%20%22Jack%22%7D&Frequency=0%20%2A%2F10%20%2A%20%2A%20%2A%20%2A&Timed=True"
        "&Timeout=60&Tag.1.Value=prod&Tag.1.Key=env&Version=2014-05-26&Action=RunCommand&Format=JSON"
        "&RegionId=cn-hangzhou&Timestamp=2026-11-23T00%3A38%3A02Z&SignatureMethod=HMAC-SHA1&SignatureType="
        "&SignatureVersion=1.0&SignatureNonce=c437d970a4e5818386a1ec7df6bb7462&AccessKeyId=testid"
        "&Signature=807cFBvsTLmsrb9ncMYng5BlPPM%3D",
    ),
    Capture(
        "pop-core, everything in the form",
        "InvokeCommand",
        "POST",
        "/",
        FORM,
        "AccessKeyId=testid&Action=InvokeCommand&CommandId=c-1&Format=JSON"
        "&Frequency=0%20%2A%2F10%20%2A%20%2A%20%2A%20%2A&InstanceId.1=i-1&InstanceId.2=i-2&RegionId=cn-hangzhou"
        "&SignatureMethod=HMAC-SHA1&SignatureNonce=b442d9ef712584f48e6ea44bab507138&SignatureVersion=1.0"
        "&Timed=false&Timestamp=2026-11-23T00%3A45%3A03Z&Version=2014-05-26"
        "&Signature=c4MXst9GeNR5ffCgbNMSiW45xyM%3D",
    ),
    Capture(
        "old SDK, CommonRequest split between query and form",
        "RunCommand",
        "POST",
        "/?RegionId=cn-hangzhou&Version=2014-05-26&Action=RunCommand&Format=JSON"
        "&Timestamp=2026-11-23T00%3A40%3A15Z&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0"
        "&SignatureNonce=71c55f84e24eb8b07a1671636456bedb&AccessKeyId=testid"
        "&Signature=EEyilxNGZBhWSpd%2Bzi5DA7C%2BVio%3D",
        FORM,
        "CommandContent=echo+%2B%2A~%2F+%E4%BD%A0%E5%A5%BD+%3D%26%25&Type=RunShellScript&InstanceId.1=i-1",
    ),
    Capture(
        "SDK of 2017, GET",
        "InvokeCommand",
        "GET",
        "/?SignatureVersion=1.0&InstanceId.1=i-1&InstanceId.2=i-2&Format=json"
        "&Timestamp=2026-11-23T00%3A51%3A48Z&RegionId=cn-hangzhou&AccessKeyId=testid&Action=InvokeCommand"
        "&SignatureMethod=HMAC-SHA1&Version=2014-05-26&Signature=ojsF1wAPbM7L2%2BXkJd6PUN4SDn0%3D&Timed=false"
        "&SignatureNonce=1663356e-2641-410c-b5f0-ed00d51e47fc&CommandId=c-1",
    ),
    Capture(
        "aliyuncli through a proxy, absolute target, id split into characters",
        "InvokeCommand",
        "POST",
        "http://ecs-cn-hangzhou.aliyuncs.com/?InstanceId.4=b&InstanceId.5=c&InstanceId.6=1&RegionId=cn-hangzhou"
        "&InstanceId.1=i&InstanceId.2=-&InstanceId.3=a&Timestamp=2026-11-23T00%3A43%3A12Z&SignatureType="
        "&Format=JSON&SignatureVersion=1.0&AccessKeyId=testid&Timed=false&SignatureMethod=HMAC-SHA1"
        "&Version=2014-05-26&Signature=nMYyIxZ8CLNqPlBoTPwJrG%2BPZwI%3D&Action=InvokeCommand"
        "&SignatureNonce=1a2dcfb51b6c7dfeec6a1af69076e4fe&CommandId=c-1",
    ),
)

#: Published examples of version 1: parameters and the right signature, both GET.
V1_VECTORS: tuple[tuple[dict[str, str], str], ...] = (
    (
        {
            "AccessKeyId": "testid",
            "Action": "DescribeRegions",
            "Format": "XML",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
            "SignatureVersion": "1.0",
            "Timestamp": "2016-02-23T12:46:24Z",
            "Version": "2014-05-26",
        },
        "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
    ),
    (
        {
            "AccessKeyId": "testid",
            "Action": "DescribeDedicatedHosts",
            "Format": "JSON",
            "RegionId": "cn-beijing",
            "SignatureMethod": "HMAC-SHA1",
            "SignatureNonce": "edb2b34af0af9a6d14deaf7c1a5315eb",
            "SignatureVersion": "1.0",
            "Timestamp": "2023-03-13T08:34:30Z",
            "Version": "2014-05-26",
        },
        "9NaGiOspFP5UPcwX8Iwt2YJXXuk=",
    ),
)


def _v3(name: str, action: str, query: str, nonce: str, signature: str) -> Capture:
    """A request of the new Python SDK; its calls differ in these values only."""
    signed = (
        "accept;host;user-agent;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version"
    )
    headers = {
        "accept-encoding": "identity",
        "host": "127.0.0.1:39131",
        "x-acs-version": "2014-05-26",
        "x-acs-action": action,
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "x-acs-date": "2026-11-23T00:38:35Z",
        "x-acs-signature-nonce": nonce,
        "accept": "application/json",
        "x-acs-content-sha256": EMPTY_BODY_DIGEST,
        "x-acs-credentials-provider": "static_ak",
        "authorization": f"ACS3-HMAC-SHA256 Credential=testid,SignedHeaders={signed},Signature={signature}",
        "content-length": "0",
    }
    return Capture(name, action, "POST", f"/?{query}", headers)


V3_CAPTURES = (
    _v3(
        "new SDK, CreateCommand",
        "CreateCommand",
        "CommandContent=ZWNobyAxMjM%3D&Description=test&EnableParameter=True&Name=test&RegionId=cn-hangzhou"
        "&Tag.1.Key=env&Tag.1.Value=prod&Type=RunShellScript",
        "cdc17fcd2fafb475d2ea917840ddcb78",
        "a8e964836af92f5ff505a92d1d12e9cacfe55b8ddc3f52c53f47673420189466",
    ),
    _v3(
        "new SDK, InvokeCommand",
        "InvokeCommand",
        "CommandId=c-hz0abc&InstanceId.1=i-1&InstanceId.2=i-2"
        "&Parameters=%7B%22name%22%3A%22Jack+%E4%BD%A0%E5%A5%BD%22%7D&RegionId=cn-hangzhou&Timed=False",
        "b9dacb57c84304579c26f12ee73c273c",
        "9978719e8127f9f6060c5d8de2e5766928ee02c218e53e96002400aa336790bc",
    ),
    _v3(
        "new SDK, RunCommand",
        "RunCommand",
        "CommandContent=echo+%7B%7Bname%7D%7D+%E4%BD%A0%E5%A5%BD+%2B%2A~%2F+%25%26%3D&EnableParameter=True"
        "&Frequency=0+%2A%2F10+%2A+%2A+%2A+%2A&InstanceId.1=i-1&InstanceId.2=i-2&KeepCommand=False"
        "&Name=run+test&Parameters=%7B%22name%22%3A%22Jack%22%7D&RegionId=cn-hangzhou&Timeout=60"
        "&Type=RunShellScript",
        "c87064818775c3ce3bde465a8e6ff7f0",
        "40d3e755dddea8f42b9c9d5effd1cff2c0a9c5cffc4088a68e8af730ccf3f8f1",
    ),
    _v3(
        "new SDK, DescribeInvocationResults",
        "DescribeInvocationResults",
        "InstanceId=i-1&InvokeId=t-hz0abc&MaxResults=10&RegionId=cn-hangzhou",
        "b12a7f55dad94a03c377ec8fefb75980",
        "7bf88b78d36696a7a426e717545d7f6bf241fac8588d95f086282cd0e75931c7",
    ),
)

RUN_COMMAND_CANONICAL_DIGEST = "8aae380f1e8e113d0f4c1b1001670b9a2a8a318ea30e2529c9cf9ce9e092f5fe"

#: The query of the new SDK's async client, which leaves much of it raw.
ASYNC_QUERY = (
    "CommandId=c-1&Frequency=0+*/10+*+*+*+*&InstanceId.1=i-1&InstanceId.2=i-2"
    "&Parameters=%7B%22name%22:%22Jack+%E4%BD%A0%E5%A5%BD+%2B*~/+%25%26%3D'()!%22%7D&RegionId=cn-hangzhou&Timed=False"
)

#: The published example of version 3, key pair YourAccessKeyId / YourAccessKeySecret.
V3_VECTOR_CANONICAL_DIGEST = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
V3_VECTOR = Capture(
    "published example of version 3",
    "RunInstances",
    "POST",
    "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
    {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": EMPTY_BODY_DIGEST,
        "authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
        "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    },
)
