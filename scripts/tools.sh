# shellcheck shell=bash
# Helpers of ./test: finding and installing what the checks and the tests need.
# Sourced with TOOLS set to the folder that installations go to. Everything here does nothing
# when the thing is already there.

NEXTEST_VERSION=0.9.151
DENY_VERSION=0.20.2
NODE_OLDEST=18

# Ends the run with what the person at the keyboard has to do.
give_up() {
    trap - ERR
    printf '\n./test: %s\n' "$1" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

require_rust() {
    has cargo || give_up "cargo is missing. Install Rust as on https://rustup.rs, then run this again."
    cargo fmt --version >/dev/null 2>&1 || give_up "rustfmt is missing. Add it: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || give_up "clippy is missing. Add it: rustup component add clippy"
    rustc --version
}

# cargo-nextest and cargo-deny from the PATH, or built once into $TOOLS/cargo.
install_cargo_tools() {
    export PATH="$TOOLS/cargo/bin:$PATH"
    install_cargo_tool cargo-nextest "$NEXTEST_VERSION" --no-default-features --features default-no-update
    install_cargo_tool cargo-deny "$DENY_VERSION"
    cargo nextest --version | head -n 1
    cargo deny --version
}

install_cargo_tool() {
    local name=$1 version=$2
    shift 2
    if has "$name"; then
        return
    fi
    # Without optimisation: they build in a third of the time and are quick enough.
    echo "building $name $version, once"
    cargo install --quiet --locked --debug --root "$TOOLS/cargo" --target-dir "$TOOLS/build" \
        "$@" "$name@$version" || give_up "$name could not be built, see above"
    rm -rf "$TOOLS/build"
}

# All that has to come from Debian, in one go, so that it is asked for once.
require_debian_packages() {
    local packages=() prefix
    has cc || packages+=(gcc libc6-dev)
    has node || packages+=(nodejs)
    has npm || packages+=(npm)
    has python3 || packages+=(python3)
    [[ -n $(postgres_programs) ]] || packages+=(postgresql)
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || packages+=(python3-venv)
    if ! is_installed node "$(node_clients_wanted)"; then
        # aws-lambda-ric has no prebuilt binary: it compiles a curl and a C++ client it brings along.
        has cmake || packages+=(cmake)
        has make || packages+=(make)
        has g++ || packages+=(g++)
        has autoconf || packages+=(autoconf)
        has automake || packages+=(automake)
        has libtoolize || packages+=(libtool)
        # Debian keeps Node's headers in a package of their own.
        prefix="$(node_prefix)"
        [[ -f $prefix/include/node/node.h || $prefix != /usr ]] || packages+=(libnode-dev)
    fi
    install_debian_packages "${packages[@]}"
}

# The Node and Python clients of tests/clients, in the versions pinned there.
install_clients() {
    local major
    major="$(node --print 'process.versions.node.split(".")[0]')"
    if ((major < NODE_OLDEST)); then
        give_up "Node $NODE_OLDEST or later is needed, found $(node --version)"
    fi
    is_installed node "$(node_clients_wanted)" || install_node_clients
    is_installed python "$(python_clients_wanted)" || install_python_clients
    echo "node $(node --version), $(python3 --version)"
}

# What an installation of the Node clients has to match.
node_clients_wanted() {
    node --version 2>/dev/null || true
    cat tests/clients/package.json tests/clients/package-lock.json
}

# A virtual environment knows its own place, so the folder is part of what it is.
python_clients_wanted() {
    echo "$TOOLS $(python3 --version)"
    cat tests/clients/requirements.txt
}

is_installed() {
    [[ -f $TOOLS/$1/.installed && $(<"$TOOLS/$1/.installed") == "$2" ]]
}

# Where Node is installed; /usr, where Debian puts it, when there is none yet.
node_prefix() {
    node --print 'require("path").resolve(process.execPath, "../..")' 2>/dev/null || echo /usr
}

install_node_clients() {
    local prefix
    prefix="$(node_prefix)"
    # With the headers at hand node-gyp need not fetch them from nodejs.org.
    if [[ -f $prefix/include/node/node.h ]]; then
        export npm_config_nodedir="$prefix"
    fi

    echo "installing the Node clients, once"
    rm -rf "$TOOLS/node"
    mkdir -p "$TOOLS/node"
    cp tests/clients/package.json tests/clients/package-lock.json "$TOOLS/node/"
    (cd "$TOOLS/node" && npm ci --no-audit --no-fund --loglevel=error) ||
        give_up "the Node clients could not be installed (npm ci of tests/clients), see above"
    [[ -f "$TOOLS/node/node_modules/aws-lambda-ric/dist/rapid-client.node" ]] ||
        give_up "aws-lambda-ric was installed without its native part: npm must be allowed to run install scripts"
    node_clients_wanted >"$TOOLS/node/.installed"
}

install_python_clients() {
    echo "installing the Python clients, once"
    rm -rf "$TOOLS/python"
    python3 -m venv "$TOOLS/python" || give_up "python3 cannot make a virtual environment, see above"
    "$TOOLS/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement tests/clients/requirements.txt ||
        give_up "the Python clients could not be installed (pip, tests/clients/requirements.txt), see above"
    python_clients_wanted >"$TOOLS/python/.installed"
}

# Installs the named Debian packages, or says how to.
install_debian_packages() {
    if (($# == 0)); then
        return
    fi
    local as_root=()
    if ! has apt-get; then
        give_up "missing, by their Debian names: $*"
    elif ((EUID != 0)); then
        sudo -n true 2>/dev/null || give_up "missing packages. Install them: sudo apt-get install --no-install-recommends $*"
        as_root=(sudo -n)
    fi
    echo "installing Debian packages: $*"
    {
        "${as_root[@]}" apt-get update -q &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -q -y --no-install-recommends "$@"
    } >"$TOOLS/apt.log" 2>&1 || {
        cat "$TOOLS/apt.log" >&2
        give_up "could not install Debian packages: $*"
    }
}

# Brings the advisory database up to date; fails when it cannot be reached.
fetch_advisories() {
    timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1
}

# Where cargo builds to, whatever decides it.
target_directory() {
    cargo metadata --locked --no-deps --format-version 1 |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}
