# One process, one port. Build: docker build -t promolift .   Run: docker compose up
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/promolift
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN /opt/promolift/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve,postgres,cloud]'

FROM python:3.12-slim
# libgomp1, as this Debian has it: LightGBM links to it, and the slim image lacks it
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home promolift \
    && install --directory --owner=promolift /shop
COPY --from=build /opt/promolift /opt/promolift
# compiled kernels are kept beside the data: all else is read-only
ENV PATH=/opt/promolift/bin:$PATH PYTHONUNBUFFERED=1 POLARS_MAX_THREADS=1 NUMBA_CACHE_DIR=/shop/.promolift/numba
USER 10001
WORKDIR /shop
VOLUME /shop
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["promolift"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
