# The web console. Its base comes as a build argument, so that a mirror or a pinned digest can stand in for it.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv --without-pip /opt/stratum
COPY stratum/requirements.txt /tmp/requirements.txt
# The libraries change seldom, and lie in a layer of their own. squawk reads the migrations of a rehearsal, which
# happens in the service that backs up.
RUN python3 -m pip --python /opt/stratum install --require-hashes --requirement /tmp/requirements.txt \
 && rm -f /opt/stratum/bin/squawk
COPY stratum/package /tmp/package
RUN SITE=$(/opt/stratum/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && cp -R /tmp/package "$SITE/stratum" \
 && printf '#!/opt/stratum/bin/python -P\nimport sys\nfrom stratum.container import main\nsys.exit(main())\n' \
      > /opt/stratum/bin/stratum-container \
 && chmod 755 /opt/stratum/bin/stratum-container \
 && /opt/stratum/bin/python -m compileall -q --invalidation-mode unchecked-hash "$SITE"

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/stratum /opt/stratum
ENV PATH=/opt/stratum/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 3000
ENTRYPOINT ["stratum-container"]
CMD ["frontend"]
