# The engine as an image: node processes (`start`), the console (`admin`), and every other command of `cabinet`.
#
#   docker build -t cabinet-pipeline:0.1.0 .                                          engine alone, for NATS servers of their own
#   docker build -t cabinet-pipeline:0.1.0-embedded --build-arg VARIANT=embedded .    with a nats-server, for one container that does all
#
# It runs as user 10001 with a read-only root; /data is the only folder that it writes, beside a small /tmp. Pipelines are code:
# put cabinet.config.mjs with what it imports into /app, by a mount or in an image of your own (`FROM cabinet-pipeline:0.1.0`).

ARG NODE_IMAGE=node:24.21.0-bookworm-slim
ARG NATS_IMAGE=nats:2.15.1-alpine
ARG VARIANT=plain

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE} AS runtime-plain
# Numbers, not names: a kubelet cannot tell otherwise that a user is not root.
RUN groupadd --gid 10001 cabinet \
  && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin cabinet \
  && install -d -o 10001 -g 10001 -m 0700 /data \
  && install -d /app /node_modules \
  # What /app imports as 'cabinet-pipeline' is the very code that runs it.
  && ln -s /opt/cabinet /node_modules/cabinet-pipeline \
  && ln -s /opt/cabinet/dist/main.js /usr/local/bin/cabinet
COPY --from=build /src/package.json /src/LICENSE /src/deploy/healthcheck.mjs /opt/cabinet/
COPY --from=build /src/node_modules /opt/cabinet/node_modules
COPY --from=build /src/dist /opt/cabinet/dist

FROM ${NATS_IMAGE} AS nats

FROM runtime-plain AS runtime-embedded
COPY --from=nats /usr/local/bin/nats-server /usr/local/bin/nats-server

FROM runtime-${VARIANT}
ENV NODE_ENV=production \
  CABINET_DATA_DIR=/data \
  CABINET_HEALTH_PORT=4281 \
  CABINET_LOG_FORMAT=json
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 4280 4281
# Node is process 1 and handles its signals itself: the first SIGTERM drains, within the grace that the platform gives.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "--disable-proto=delete", "/opt/cabinet/dist/main.js"]
CMD ["start"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "/opt/cabinet/healthcheck.mjs"]
