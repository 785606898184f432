# One image for every part: the service, MLflow's server, Ray's head and its workers.
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 1000 gatetune \
    && mkdir -p /var/lib/gatetune /var/lib/mlflow \
    && chown gatetune /var/lib/gatetune /var/lib/mlflow \
    && python3 -m venv /opt/gatetune
ENV PATH=/opt/gatetune/bin:$PATH PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true

# The dependencies are a layer of their own: a change of the code does not install them again.
COPY deploy/requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock

COPY pyproject.toml README.md LICENSE /opt/source/
COPY search /opt/source/search
COPY trainables /opt/source/trainables
COPY dashboards /opt/source/dashboards
RUN pip install --no-cache-dir --no-deps /opt/source && rm -rf /opt/source
COPY deploy/mlflow-server /usr/local/bin/mlflow-server

USER gatetune
WORKDIR /var/lib/gatetune
EXPOSE 8765
CMD ["gatetune", "up", "--host", "0.0.0.0"]
