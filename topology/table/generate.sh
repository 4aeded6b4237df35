#!/usr/bin/env bash
# Regenerates rows.pb.go and rows_vtproto.pb.go. Needs protoc (Debian: protobuf-compiler); the plugins are the versions go.mod pins.
set -euo pipefail
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
pools=()
for m in Order Entry Cell Finding Case; do pools+=(--go-vtproto_opt="pool=weir/topology/table.$m"); done
PATH=$bin:$PATH protoc --go_out=. --go_opt=paths=source_relative \
  --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size+pool+equal+clone "${pools[@]}" rows.proto
