# Backups, drills and restores. Built from the database's own image, so that its tools always match the server.
ARG POSTGRES_IMAGE=postgres:16-bookworm

FROM ${POSTGRES_IMAGE} AS python
USER root
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache

FROM python AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv python3-pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv --without-pip /opt/stratum
COPY stratum/requirements.txt /tmp/requirements.txt
RUN python3 -m pip --python /opt/stratum install --require-hashes --requirement /tmp/requirements.txt
COPY stratum/package /tmp/package
RUN SITE=$(/opt/stratum/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && cp -R /tmp/package "$SITE/stratum" \
 && printf '#!/opt/stratum/bin/python -P\nimport sys\nfrom stratum.container import main\nsys.exit(main())\n' \
      > /opt/stratum/bin/stratum-container \
 && printf '#!/opt/stratum/bin/python -P\nimport sys\nfrom stratum.cli.main import main\nsys.exit(main())\n' \
      > /opt/stratum/bin/stratum \
 && chmod 755 /opt/stratum/bin/stratum /opt/stratum/bin/stratum-container \
 && /opt/stratum/bin/python -m compileall -q --invalidation-mode unchecked-hash "$SITE"

FROM python
# The account that owns the archive on the host owns what is written to it here. initdb wants it to have a name.
ARG STRATUM_UID=10001
ARG STRATUM_GID=10001
RUN groupadd --non-unique --gid "$STRATUM_GID" stratum \
 && useradd --non-unique --uid "$STRATUM_UID" --gid "$STRATUM_GID" --no-create-home --home-dir /var/lib/stratum stratum \
 && install -d -o "$STRATUM_UID" -g "$STRATUM_GID" -m 0700 /var/lib/stratum \
 && install -d /archive /stack
COPY --from=build /opt/stratum /opt/stratum
ENV PATH=/opt/stratum/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /stack
USER ${STRATUM_UID}:${STRATUM_GID}
# The base's own: a data directory and a server are not what this image is for.
STOPSIGNAL SIGTERM
ENTRYPOINT ["stratum"]
CMD ["agent"]
