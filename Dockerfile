# One process, one port. Build: docker build -t promolift .   Run: docker compose up
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 promolift
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve]'
USER promolift
WORKDIR /shop
ENV PYTHONUNBUFFERED=1 POLARS_MAX_THREADS=1
EXPOSE 8080
VOLUME /shop
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/ready')"]
ENTRYPOINT ["promolift"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
