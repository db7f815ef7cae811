#!/usr/bin/env bash
# Sourced by Scripts/package and Scripts/install, which stand at the top of the repository: makes the folder that is
# installed, as packaging/install finds it.

version=$(sed -n 's/.*version = "\([0-9.]*\)"$/\1/p' Sources/RPCWire/Release.swift | head -n 1)
programs=(rpc-server initializer rpc-client rpc-bench)

# make_tree TREE SYMBOLS: the folder, and one with the programs' symbols as gdb looks for them.
make_tree() {
  local tree=$1 symbols=$2 program built id
  build_packaged "${programs[@]}" || return
  rm -rf "$tree" "$symbols"
  mkdir -p "$tree/bin" "$tree/share/simplerpc" "$tree/share/doc/simplerpc" "$tree/lib/systemd/system"
  for program in "${programs[@]}"; do
    built=$packaged_directory/release/$program
    id=$(readelf -n "$built" | sed -n 's/.*Build ID: //p')
    [ -n "$id" ] || { echo "$built has no build id" >&2; return 1; }
    mkdir -p "$symbols/${id:0:2}"
    objcopy --only-keep-debug --compress-debug-sections "$built" "$symbols/${id:0:2}/${id:2}.debug" || return
    strip --strip-unneeded --remove-section=.comment -o "$tree/bin/$program" "$built" || return
  done
  RPC_BIN_DIR=$tree/bin Scripts/manuals "$tree/share/man" || return
  RPC_BIN_DIR=$tree/bin Scripts/completions "$tree/share" || return
  PYTHON=/usr/bin/python3 Scripts/python-wheel "$tree/share/simplerpc" || return
  cp Docs/init.schema.json "$tree/share/simplerpc" || return
  cp README.md CHANGELOG.md Docs/*.md "$tree/share/doc/simplerpc"
  cp Scripts/packaging/copyright "$tree/share/doc/simplerpc"
  cp Scripts/packaging/simplerpc@.service "$tree/lib/systemd/system"
  mkdir -p "$tree/etc/simplerpc"
  cp Scripts/packaging/default.yaml Scripts/packaging/deployers "$tree/etc/simplerpc"
  cp Scripts/packaging/install "$tree"
}
