# Build: compiler and sources; run: Node, the compiled tree and nothing else.
FROM node:20-bookworm AS build
WORKDIR /claviger
COPY package.json package-lock.json tsconfig.json ./
COPY src src
COPY native native
COPY bench bench
RUN node src/setup.mjs && npm prune --omit=dev

FROM node:20-bookworm-slim
ENV NODE_ENV=production CLAVIGER_DATA_DIR=/data
WORKDIR /claviger
COPY --from=build /claviger/package.json ./
COPY --from=build /claviger/node_modules node_modules
COPY --from=build /claviger/dist dist
COPY --from=build /claviger/native/build/Release/claviger.node native/build/Release/claviger.node
COPY --from=build /claviger/src/endpoint/assets src/endpoint/assets
COPY --from=build /claviger/src/dashboard src/dashboard
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 5061/tcp 16384-32767/udp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8061/health/ready').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node as process 1 forwards nothing by itself; the switch handles SIGTERM: BYE to everybody, then exit.
ENTRYPOINT ["node", "dist/src/cli/main.js"]
CMD ["serve"]
