#!/usr/bin/env bash
# Sourced by the other scripts: where the built programs are, and how they get there. The caller stands at the
# top of the repository.
#
# RPC_BIN_DIR names a directory with built programs to use instead; then nothing is built.

release_directory=$PWD/.build-release

# Builds the named products in release; its output goes where the caller sends it.
build_programs() {
  local product
  [ -z "${RPC_BIN_DIR:-}" ] || return 0
  for product in "$@"; do
    swift build -c release --scratch-path "$release_directory" --product "$product" || return
  done
}

# The path of a built program; builds it where there is none yet.
program() {
  local path=${RPC_BIN_DIR:-$release_directory/release}/$1
  if [ ! -x "$path" ]; then
    if [ -n "${RPC_BIN_DIR:-}" ]; then
      printf '%s: no program %s in RPC_BIN_DIR=%s\n' "${0##*/}" "$1" "$RPC_BIN_DIR" >&2
      return 69
    fi
    printf '%s: building %s (release)\n' "${0##*/}" "$1" >&2
    "${BASH_SOURCE[0]%/*}/setup" && build_programs "$1" </dev/null >&2 || return
  fi
  printf '%s\n' "$path"
}

# Builds products as the packages have them: with Swift's own libraries inside, and an id by which debuggers find the
# symbols that are kept apart. In a scratch path of its own, since other options would have all of it built again.
packaged_directory=$PWD/.build-package
packaged_options=(-c release --static-swift-stdlib --disable-local-rpath -Xlinker --build-id=sha1 -Xlinker -z -Xlinker relro
  -Xlinker -z -Xlinker now --scratch-path "$packaged_directory")
build_packaged() {
  local product
  for product in "$@"; do
    swift build "${packaged_options[@]}" --product "$product" || return
  done
}
