# An image that runs any process of a search: docker build --tag pbtnas .
# What plots, reports and the tasks of the paper need comes with
#   --build-arg EXTRAS=gan,rl,report
FROM python:3.11-slim

ARG EXTRAS=""
# Another index for torch, such as one of its builds without CUDA.
ARG TORCH=""

WORKDIR /opt/pbtnas
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY pbtnas pbtnas
# requirements.txt names the versions that were tested; only what is needed is installed.
RUN pip install --no-cache-dir ${TORCH:+--extra-index-url "$TORCH"} \
    --constraint requirements.txt ".${EXTRAS:+[$EXTRAS]}"
COPY configs configs

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /tmp
# Process 1 of its container: it hands back its job when the container is told to stop.
ENTRYPOINT ["pbtnas"]
