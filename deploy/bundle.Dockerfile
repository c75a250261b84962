# Build the agent's bundle for old systems: glibc 2.17, which CentOS 7, Debian 8, Ubuntu 14.04 and SUSE 12 have or exceed.
#
#   docker build -f deploy/bundle.Dockerfile -t cloud-assistant-bundle .
#   docker run --rm -v "$PWD/dist:/out" cloud-assistant-bundle --rpm
#
# The image is the Python packaging authority's build image for that C library; for another architecture use its
# manylinux2014_aarch64. Not run where this was written: there was no container engine.
FROM quay.io/pypa/manylinux2014_x86_64
RUN yum install -y rpm-build && yum clean all
COPY . /source
WORKDIR /source
# Its interpreters are linked without a shared library, so the bundle holds one binary less.
ENV PYTHON=/opt/python/cp311-cp311/bin/python
ENTRYPOINT ["deploy/bundle", "--out", "/out"]
