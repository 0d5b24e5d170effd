# Two images from one file:  --target server  and  --target operator.  Each ends in scratch: one static binary, no shell,
# a user without rights. `make images` makes the same without a container engine; `make image-buildah` builds this file
# without a registry. BUILDER must hold Go and the certificates for the module proxy, or GOFLAGS=-mod=mod a filled cache.
ARG BUILDER=golang:1.26
FROM ${BUILDER} AS build
WORKDIR /src
COPY go.mod go.sum ./
ARG GOPROXY
ARG GOFLAGS=-buildvcs=false
RUN go mod download
COPY api ./api
COPY server ./server
COPY controllers ./controllers
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/understudy-server ./server
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/understudy-operator ./controllers

FROM scratch AS server
COPY --from=build /out/understudy-server /understudy-server
USER 65532:65532
ENTRYPOINT ["/understudy-server"]

FROM scratch AS operator
COPY --from=build /out/understudy-operator /understudy-operator
USER 65532:65532
ENTRYPOINT ["/understudy-operator"]
