#!/usr/bin/env bash
# Write clipdb/explorer/static/hyparquet.js anew: what frozen pages use of hyparquet, as one file under its licence.
set -euo pipefail
HYPARQUET=1.33.0 ESBUILD=0.28.2
target="$(cd "$(dirname "$0")/.." && pwd)/clipdb/explorer/static/hyparquet.js"
cd "$(mktemp -d)"
npm install --silent --no-audit --no-fund "hyparquet@$HYPARQUET" "esbuild@$ESBUILD"
echo 'export { asyncBufferFromUrl, parquetMetadataAsync, parquetReadObjects } from "hyparquet";' > entry.js
{
  printf '/*!\nhyparquet %s, https://github.com/hyparam/hyparquet\n\n' "$HYPARQUET"
  cat node_modules/hyparquet/LICENSE
  printf '*/\n'
  npx esbuild entry.js --bundle --minify --format=esm --target=es2022 --log-level=warning
} > "$target"
