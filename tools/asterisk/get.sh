#!/usr/bin/env bash
# Unpacks a Debian-built Asterisk 22 into a folder. Nothing is installed, and no root is needed.
#   tools/asterisk/get.sh [FOLDER]      FOLDER is var/asterisk otherwise
# What is there already is kept; delete the folder to get a newer one. Packages come from the archive that this
# machine's own apt uses, and apt checks their signatures. Debian's stable releases have no Asterisk, so its development
# branch is read; nothing of that touches the machine's own package lists.
set -euo pipefail
folder=$(realpath -m "${1:-$(dirname "${BASH_SOURCE[0]}")/../../var/asterisk}")
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../setup.sh

suite=sid
packages="asterisk asterisk-core-sounds-ru-wav"
# Of all that apt would install with them, only shared libraries are needed: the rest serves maintainer scripts.
wanted='^(asterisk|lib|zlib)'
# Modules that are not loaded here, and the scripts, bring these.
unwanted='^(asterisk-(config|doc|voicemail|tests)|libperl|libapt|libpam|libnss|libsystemd-shared|libmariadb|libsnmp|libpq|libsybdb|libcodec2)'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
limit_s=240    # for the whole of it; 20 to 40 s are usual
cure="Without it only the tests in tests/asterisk cannot run."

# apt-get with lists, status and cache of its own.
apt() {
    local left=$((limit_s - SECONDS))
    [ "$left" -gt 0 ] || return 124
    timeout "$left" apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$work/state" -o Dir::State::Status="$work/status" -o Dir::Cache="$work/cache" \
        -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Check-Valid-Until=false -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
        "$@" >"$work/out" 2>"$work/err"
}

give_up() { [ -s "$work/err" ] && tail -5 "$work/err" >&2; fail "$1 $cure"; }

# The archives in this machine's sources, Debian's own and complete ones first; apt's lists may not be there yet.
archives() {
    {
        apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian'
        apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages'
    } 2>/dev/null | grep -v security | awk '!seen[$0]++'
}

# Reads the lists of the first archive that has the suite and is signed by Debian.
read_lists() {
    local archive
    for archive in $(archives); do
        echo "deb [signed-by=$keyring] $archive $suite main" >"$work/sources.list"
        if apt update -o APT::Update::Error-Mode=any && apt install --print-uris -y $packages; then return; fi
    done
    return 1
}

# libraries FILE…: what the files need and cannot find among the unpacked libraries.
libraries() {
    local file
    for file in "$@"; do
        "$loader" --library-path "$lib" --list "$file" 2>&1 | awk -v file="${file##*/}" '/not found|cannot open/ {print file ": " $0}'
    done
}

sum=$(cat get.sh etc/modules.conf | sha256sum | cut -d' ' -f1)
[ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$sum" ] && exit 0
for tool in apt-get dpkg-deb tar timeout flock; do
    command -v "$tool" >/dev/null || fail "$tool is missing: Asterisk is unpacked from Debian's packages, on Debian. $cure"
done
[ -f "$keyring" ] || fail "Debian's keys are missing: apt-get install debian-archive-keyring. $cure"

mkdir -p "$(dirname "$folder")"
exec 9>"$folder.lock"
flock -w "$limit_s" 9 || fail "another get.sh has been at work on $folder for $limit_s s. $cure"
[ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$sum" ] && exit 0

work=$(mktemp -d) new=$folder.new
trap 'rm -rf "$work" "$new"' EXIT
rm -rf "$new"
mkdir -p "$work"/state/lists/partial "$work"/cache/archives/partial "$work/debs" "$new"
: >"$work/status"
: >"$work/err"

say "Getting Asterisk: reading Debian's list of packages"
[ -n "$(archives)" ] || give_up "apt on this machine knows no Debian archive (see /etc/apt/sources.list.d)."
read_lists || give_up "no archive in this machine's apt sources gives Asterisk of Debian $suite: is it reachable?"
awk -v wanted="$wanted" -v unwanted="$unwanted" \
    '/^.http|^.https|^.file|^.copy/ { name = $2; sub(/_.*/, "", name); if (name ~ wanted && name !~ unwanted) print name, $3 }' \
    "$work/out" >"$work/closure"
say "Getting Asterisk: $(wc -l <"$work/closure") packages, $(awk '{s += $2} END {print int(s / 1e6)}' "$work/closure") MB"
(cd "$work/debs" && apt download $(cut -d' ' -f1 "$work/closure")) ||
    give_up "its packages could not be downloaded within $limit_s s."
say "Getting Asterisk: unpacking"
for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$new" --keep-directory-symlink --no-same-owner \
        --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' ||
        give_up "${deb##*/} could not be unpacked."
done

loader=$(echo "$new"/usr/lib/*-linux-gnu*/ld-linux*.so.*) lib=$(dirname "$loader")
modules=$(sed -n "s|^load = |$lib/asterisk/modules/|p" etc/modules.conf)
missing=$(libraries "$new/usr/sbin/asterisk" $modules)
[ -z "$missing" ] || give_up "what was unpacked is not whole; get.sh leaves out too much: $missing."
echo "$sum" >"$new/stamp"
rm -rf "$folder"
mv "$new" "$folder"
say "Getting Asterisk: $("$folder/${loader#"$new"/}" --library-path "$folder/${lib#"$new"/}" "$folder/usr/sbin/asterisk" -V) is in $folder"
