# The agent as a container that manages the machine below it, for systems without a writable /usr (Flatcar, CoreOS).
#
#   deploy/bundle && docker build -f deploy/production/containers/agent.Dockerfile -t cloud-assistant-agent .
#
# It enters the machine's own namespaces, so scripts see the machine and not the container: see flatcar.bu.yaml.
FROM debian:12-slim
ADD dist/cloud-assistant-agent-*-linux-x86_64.tar.gz /opt/cloud-assistant/
RUN ln -s /opt/cloud-assistant/cloud-assistant-agent-* /opt/cloud-assistant/bundle
ENTRYPOINT ["/opt/cloud-assistant/bundle/bin/assist-agent"]
CMD ["run", "--config", "/etc/cloud-assistant/config.toml"]
