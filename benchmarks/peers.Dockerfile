# The machine on which Stratum and its peers copy and restore the same cluster: Debian's PostgreSQL 17, pgBackRest,
# Barman, and the libraries that Stratum needs. Its own code is mounted. Build context: requirements/
FROM debian:trixie-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends postgresql-17 pgbackrest barman python3 python3-venv python3-pip zstd \
 && rm -rf /var/lib/apt/lists/*
COPY images.txt /tmp/images.txt
RUN python3 -m venv /opt/stratum \
 && /opt/stratum/bin/pip install --quiet --require-hashes --requirement /tmp/images.txt
ENV PATH=/opt/stratum/bin:/usr/lib/postgresql/17/bin:$PATH PYTHONPATH=/checkout/src:/checkout PYTHONDONTWRITEBYTECODE=1
USER postgres
WORKDIR /work
