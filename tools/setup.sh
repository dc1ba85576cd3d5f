#!/bin/sh
# Makes .venv ready: `setup.sh test` for running and testing, `setup.sh bench` for the peers as well.
# Works without ensurepip, without HOME and without PATH. Package indexes are the machine's business: none is named here.
set -eu
cd "$(dirname "$0")/.."
set_name=$1
python=.venv/bin/python
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_WARN_SCRIPT_LOCATION=1

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_updated=
apt_install() {
    [ -n "$apt_updated" ] || DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || true
    apt_updated=yes
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install --yes -qq --no-install-recommends "$@" >/dev/null
}

# Two makes at once take turns; the second finds everything done.
mkdir -p .venv
if command -v flock >/dev/null 2>&1; then
    exec 9>.venv/.setup-lock
    flock 9
fi

# 1. Debian packages.
missing=$(grep -v '^#' requirements/debian.txt | while read -r package command; do
    [ -z "$package" ] || command -v "$command" >/dev/null 2>&1 || printf ' %s' "$package"
done)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words is meant
    if can_install; then
        say "installing Debian packages:$missing"
        apt_install $missing || die "apt-get could not install:$missing"
    elif [ "${CI:-}" = true ]; then
        die "tests need more packages. Type: sudo apt-get install --yes$missing"
    else
        say "some tests need more packages. Type: sudo apt-get install --yes$missing"
    fi
fi

# 2. A Python that is new enough.
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if ! $python -c "$new_enough" >/dev/null 2>&1; then
    found=
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c "$new_enough" >/dev/null 2>&1; then found=$candidate; break; fi
    done
    [ -n "$found" ] || die "Stagebook needs Python 3.11 or newer. Type: sudo apt-get install --yes python3"
    say "making .venv with $("$found" -c 'import sys; print(sys.executable, sys.version.split()[0])')"
    rm -rf .venv/bin .venv/lib .venv/lib64 .venv/include .venv/pyvenv.cfg
    "$found" -m venv .venv >/dev/null 2>&1 || "$found" -m venv --without-pip .venv ||
        die "this Python cannot make virtual environments. Type: sudo apt-get install --yes python3-venv"
fi

# 3. Something that can install packages into it.
base=$($python -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')
find_installer() {
    if $python -m pip --version >/dev/null 2>&1; then
        installer="$python -m pip install --quiet"
    elif "$base" -m pip --python $python --version >/dev/null 2>&1; then
        installer="$base -m pip --python $python install --quiet"
    elif command -v uv >/dev/null 2>&1; then
        installer="uv pip install --quiet --python $python"
    else
        return 1
    fi
}
if ! find_installer; then
    can_install || die "neither pip nor uv is here. Type: sudo apt-get install --yes python3-venv python3-pip"
    say "installing Debian packages: python3-venv python3-pip"
    apt_install python3-venv python3-pip || die "apt-get could not install python3-venv python3-pip"
    find_installer || die "$base has no pip of its own. Install pip or uv for it, then try again"
fi

# 4. Packages by lock and hash, then the project itself, compiled: with PYTHONDONTWRITEBYTECODE nobody else would.
say "installing requirements/$set_name.lock"
$installer --require-hashes -r "requirements/$set_name.lock"
[ "$set_name" != test ] || $installer --no-deps --no-build-isolation --editable .
$python -m compileall -q src "$($python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >/dev/null 2>&1 || true
touch ".venv/.ready-$set_name"
