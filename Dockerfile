# The zoo in a container, on NVIDIA GPUs or on a CPU:
#   docker build --tag zoo .
#   docker build --tag zoo:cpu --build-arg TORCH_INDEX=URL .
# URL is PyTorch's index of CPU builds: https://pytorch.org/get-started/locally/ has it. Both have the same small base
# image, because the builds of torch for Linux hold the CUDA libraries; the host needs only NVIDIA's driver and container
# toolkit.
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=""
# Extras of the zoo, separated by commas.
ARG EXTRAS=demo,export

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /opt/zoo
# First, so that a change of the zoo does not install torch again, and both from the same index. The newest versions are
# installed, as pip does from pyproject.toml.
# hadolint ignore=DL3013
RUN pip install "torch>=2.11" "torchvision>=0.26" ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"}
COPY pyproject.toml README.md LICENSE ./
COPY zoo zoo
COPY configs configs
COPY checkpoints checkpoints
# hadolint ignore=DL3013
RUN pip install ".[${EXTRAS}]"

# Runs are written to the folder that is mounted at /runs, and not by root.
RUN useradd --create-home --uid 1000 zoo && mkdir /runs && chown zoo:zoo /runs
USER 1000
WORKDIR /runs
EXPOSE 8000
ENTRYPOINT ["zoo"]
CMD ["--help"]
