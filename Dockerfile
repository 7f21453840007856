# syntax=docker/dockerfile:1
# The base is a tag that still receives security patches. To freeze it: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
# Two environments: one to build with, one that is shipped and never holds pip or setuptools. Wheels only: nothing is compiled.
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-deps --require-hashes --only-binary=:all: -r requirements-build.lock \
 && python -m venv --without-pip /opt/ipsync \
 && /opt/build/bin/pip --python /opt/ipsync/bin/python install \
      --no-compile --no-deps --require-hashes --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY ipsync ./ipsync
# The root file system is read-only in the cluster, so bytecode is made here. unchecked-hash: no stat of the source at start,
# and the same bytes whenever it is built.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/build/bin/pip --python /opt/ipsync/bin/python install --no-compile --no-deps /tmp/wheel/*.whl \
 && /opt/ipsync/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/ipsync/lib \
 && /opt/ipsync/bin/ipsync --version
# The small models of AWS's services, which a laptop's first run makes, are made here: root's, and for any user to read.
RUN XDG_CACHE_HOME=/opt/ipsync/cache /opt/ipsync/bin/python -c 'from ipsync.targets.aws import service_models; service_models.keep()' \
 && chmod -R a+rX /opt/ipsync/cache

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="ipsync" \
      org.opencontainers.image.description="Keeps a vendor's published addresses allowed in AWS and GCP firewalls" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base image brings its own pip; nothing in this image installs anything.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
 && install -d -o 65532 -g 65532 /var/lib/ipsync
COPY --from=build /opt/ipsync /opt/ipsync
ENV PATH=/opt/ipsync/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/opt/ipsync/cache \
    IPSYNC_CONFIG=/etc/ipsync/ipsync.yaml
USER 65532:65532
WORKDIR /var/lib/ipsync
ENTRYPOINT ["ipsync"]
CMD ["sync"]
