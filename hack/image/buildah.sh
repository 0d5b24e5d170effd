#!/usr/bin/env bash
# Build the Dockerfile with Debian's buildah and no registry: the builder image is made here from this machine's own Go.
# Usage: hack/image/buildah.sh [TAG]   writes bin/images/buildah-{server,operator}.tar
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=${1:-dev}
store=${XDG_CACHE_HOME:-$HOME/.cache}/understudy/buildah
out=$PWD/bin/images

missing=()
for need in buildah:buildah busybox:busybox-static; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "missing: apt-get install ${missing[*]}" >&2; exit 1; }
  echo "installing Debian packages: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
[ "$(id -u)" = 0 ] || { echo "buildah's chroot isolation needs root here: run it with sudo" >&2; exit 1; }
# a static busybox is the builder's shell: the image has no libraries
file=$(command -v busybox)
if ldd "$file" >/dev/null 2>&1; then echo "$file is not static: apt-get install busybox-static" >&2; exit 1; fi

b() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }

builder=localhost/understudy-builder:$(go env GOVERSION)
if ! b inspect --type image "$builder" >/dev/null 2>&1; then
  echo "making $builder from $(go env GOROOT)"
  c=$(b from scratch)
  b copy -q "$c" "$file" /bin/sh
  b copy -q "$c" "$(go env GOROOT)" /usr/local/go
  b copy -q "$c" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
  mkdir -p "$store/tmp" && b copy -q "$c" "$store/tmp" /tmp
  b config --env PATH=/usr/local/go/bin:/bin --env HOME=/root --env GOTOOLCHAIN=local "$c"
  b commit -q "$c" "$builder" >/dev/null
  b rm "$c" >/dev/null
fi

mkdir -p "$out" "$(go env GOMODCACHE)" "$(go env GOCACHE)"
for target in server operator; do
  image=localhost/understudy-$target:$tag
  # this machine's module and build caches keep a second build to seconds
  b bud -q --isolation chroot --network host --target "$target" --build-arg BUILDER="$builder" --build-arg GOPROXY="$(go env GOPROXY)" \
    -v "$(go env GOMODCACHE):/root/go/pkg/mod" -v "$(go env GOCACHE):/root/.cache/go-build" -t "$image" -f Dockerfile . >/dev/null
  user=$(b inspect --type image --format '{{.OCIv1.Config.User}}' "$image")
  [ "$user" = 65532:65532 ] || { echo "$image runs as '$user', not 65532:65532" >&2; exit 1; }
  rm -f "$out/buildah-$target.tar"
  b push -q "$image" "oci-archive:$out/buildah-$target.tar:$image"
  echo "$image  $out/buildah-$target.tar"
done
