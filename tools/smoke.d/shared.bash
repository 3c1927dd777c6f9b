# Shared parts of the end-to-end scripts. A script sources this file first. It then runs in a temporary folder of its
# own, which is removed at its end. It does not read or change the user's settings.
#
# If a check fails, the script reports and counts it, continues, and ends with exit code 1. Besides standard tools, the
# scripts use python3, and perl, which git installs.
set -euo pipefail

tools=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
script=${0##*/}
"$tools/bakstore" version >/dev/null
program=$(dirname -- "$tools")/.build/bakstore/release/bakstore
work=$(mktemp -d)
# Disks that the script has mounted.
mounted=()
checks=0
failures=0
trap finish EXIT
# Other users need access, because some scripts run bakstore as a user without write permission.
chmod 755 "$work"
cd -- "$work"
umask 022
export HOME=$work LC_ALL=C TZ=UTC
unset XDG_DATA_HOME XDG_CACHE_HOME XDG_CONFIG_HOME ${!BAKSTORE_REPOSITORY@} BAKSTORE_CACHE_DIR BAKSTORE_DEVICE \
    BAKSTORE_PROGRESS_FPS

finish() {
    local status=$? disk
    for disk in "${mounted[@]}"; do umount -l -- "$disk" 2>/dev/null || true; done
    chmod -R u+rwX -- "$work" 2>/dev/null || true
    rm -rf -- "$work"
    if ((status)); then
        printf 'smoke: %s: ended with exit code %d\n' "$script" "$status" >&2
    else
        printf 'smoke: %s: %d checks, %d failed, %d s\n' "$script" "$checks" "$failures" "$SECONDS"
        ((failures == 0)) || exit 1
    fi
}

# --- Checks ---

# pass WHAT, fail WHAT: note the outcome of a check.
pass() {
    checks=$((checks + 1))
    [[ ! ${SMOKE_VERBOSE:-} ]] || printf '    %s\n' "$1"
}

fail() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    printf 'smoke: %s: FAILED: %s\n' "$script" "$1" >&2
    [[ ! ${command_line:-} ]] || printf '    %s (exit code %s)\n' "$command_line" "$status" >&2
    local file
    for file in output errors; do [[ ! -e $file ]] || head -n 8 -- "$file" | cut -c1-300 | sed "s/^/    $file: /" >&2; done
}

# skip WHAT WHY: reports that something cannot be tested here.
skip() { printf 'smoke: %s: skipped: %s: %s\n' "$script" "$1" "$2"; }

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    if "$@"; then pass "$what"; else fail "$what"; fi
}

# run ARGUMENT...: runs bakstore. Its exit code goes to `status`, and its output to the files `output` and `errors`.
# With --json, the output must match docs/json.md.
run() {
    command_line="bakstore $*"
    status=0
    timeout --kill-after=5 120 "$program" "$@" >output 2>errors </dev/null || status=$?
    [[ " $* " != *" --json "* ]] || "$tools/smoke.d/json-members.py" output errors || fail "its JSON is as docs/json.md describes it"
}

# expect CODE WHAT ARGUMENT...: runs bakstore, which must end with CODE. CODE may list several codes, such as `0|4`.
expect() {
    local code=$1 what=$2
    shift 2
    run "$@"
    expect_status "$code" "$what"
}

# expect_status CODE WHAT: checks the end of a run. It must have that exit code, and after a failure one line must say
# why.
expect_status() {
    if [[ ! $status =~ ^($1)$ ]]; then
        fail "$2: it should end with $1"
    elif grep -qE 'Fatal error|Backtrace|Crash|Stack dump' errors; then
        fail "$2: it crashed"
    elif ((status == 1 || status == 2 || status >= 10 && status < 128)) && ! is_one_line_of_error; then
        fail "$2: there should be one line that says why"
    else
        pass "$2"
    fi
}

# settle FOLDER: gives recently changed files an older time, and waits for the clock's next tick. Otherwise the next
# backup would read these files again, because their times are too new to be trusted.
settle() {
    find "$1" -newermt '-1 minute' -exec touch -h -d '-2 minutes' {} +
    sleep 0.1
}

is_one_line_of_error() {
    [[ $(grep -cE '^(bakstore: .|\{"message_type":"exit_error",)' errors) == 1 ]] &&
        tail -n 1 errors | grep -qE '^(bakstore: .|\{"message_type":"exit_error",)'
}

# begin ARGUMENT...: starts bakstore in the background with its process number in `running`. Returns as soon as bakstore
# handles signals. Bash starts background processes with SIGINT ignored, so an earlier signal would be lost.
begin() {
    command_line="bakstore $*"
    "$program" "$@" >output 2>errors </dev/null &
    running=$!
    until [[ ! -e /proc/$running/exe ]] || { [[ /proc/$running/exe -ef $program ]] && hears_signals; }; do :; done
}
# hears_signals: true if the running process has a handler for SIGTERM, which bakstore installs last. At first, the
# process is a copy of bash, which has such a handler, too.
hears_signals() {
    local name value
    while read -r name value; do
        [[ $name == SigCgt: ]] || continue
        ((16#$value >> 14 & 1))
        return
    done 2>/dev/null <"/proc/$running/status"
    return 1
}
# until_done COMMAND...: waits until the command succeeds or the running process ends.
until_done() { until "$@"; do kill -0 "$running" 2>/dev/null || return 0; done; }
# has_stored REPOSITORY: true if a backup has written much of a pack. The smallest pack size is 1 MiB.
has_stored() { [[ $(find "$1/tmp" -size +500k 2>/dev/null) ]]; }
# signal SIGNAL...: sends the signals to the running process, if it has not ended. After STOP, waits until all threads
# have stopped, because the system only asks them to stop. A thread that still works would blur the moment of the stop.
signal() {
    local name
    for name in "$@"; do
        kill -s "$name" "$running" 2>/dev/null || continue
        [[ $name != STOP ]] || until stands_still; do :; done
    done
}
# stands_still: true if every thread of the running process has stopped or ended.
stands_still() {
    local state
    for state in $(cat "/proc/$running/task/"*/stat 2>/dev/null | sed 's/.*) \(.\) .*/\1/'); do
        [[ $state == [TtZX] ]] || return 1
    done
}
# stop SIGNAL...: sends the signals while the running process is stopped, so that it cannot end before the last of them.
# Then waits for its end.
stop() {
    signal STOP "$@" CONT
    ended
}
# ended: waits for the end of the running process. Its exit code goes to `status`.
ended() {
    status=0
    wait "$running" 2>/dev/null || status=$?
}

# says PATTERN, is_silent_about PATTERN: the output of the last run must, or must not, match the pattern.
says() { if grep -qE -- "$1" output errors; then pass "it says '$1'"; else fail "it should say '$1'"; fi; }
is_silent_about() { if grep -qE -- "$1" output errors; then fail "it should not say '$1'"; else pass "it does not say '$1'"; fi; }

# field NAME: prints a member of the last JSON object on standard output.
field() {
    perl -MJSON::PP -e 'my $last; while (<STDIN>) { $last = $_ }
        print JSON::PP->new->utf8->decode($last)->{$ARGV[0]} // ""' "$1" <output
}

# are_objects FILE: each line must be one JSON object, in UTF-8.
are_objects() {
    perl -MJSON::PP -e 'my $json = JSON::PP->new->utf8;
        while (<STDIN>) {
            /\n\z/ or die "line $. is not ended\n";
            my $object = eval { $json->decode($_) };
            ref $object eq "HASH" or die "line $. is no object: $_";
        }' <"$1"
}
# --- Files ---

# noise SEED BYTES: prints bytes that do not compress. The seed determines them.
noise() {
    perl -MDigest::SHA=sha512 -e 'my ($seed, $left) = @ARGV;
        for (my $i = 0; $left > 0; $i++, $left -= 64) { print substr sha512("$seed $i"), 0, $left }' "$1" "$2"
}

# text SEED BYTES: prints bytes that compress to about half.
text() { noise "$1" $((($2 + 1) / 2)) | perl -e 'local $/; print substr unpack("H*", <STDIN>), 0, $ARGV[0]' "$2"; }

# flip FILE OFFSET: changes a bit of the byte at the offset. A negative offset counts from the end.
flip() {
    perl -e 'my ($file, $at) = @ARGV; open my $f, "+<", $file or die; $at += -s $f if $at < 0;
        seek $f, $at, 0; read $f, my $byte, 1 or die; seek $f, $at, 0; print $f chr(ord($byte) ^ 16)' "$1" "$2"
}

# catalogue FOLDER: prints everything that a restore must bring back of a folder: names, types, modes, owners, times to
# the nanosecond, sizes, link targets, hard links, contents, attributes and ACLs.
catalogue() (
    cd -- "$1"
    find . \( -type d -printf '%P\t%y %m %U %G %T@\0' \) -o -printf '%P\t%y %m %U %G %T@ %s %n %l\0' | sort -z
    find . \( -type b -o -type c \) -print0 | sort -z | xargs -0 -r stat -c '%n %t %T'
    declare -A first=()
    while IFS=' ' read -r -d '' inode path; do
        printf '%s = %s\0' "$path" "${first[$inode]:=$path}"
    done < <(find . ! -type d -links +1 -printf '%i %P\0' | sort -z -k 2)
    find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z --
    find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m '^(user|trusted)\.|^system\.posix_acl|^security\.capability' -e hex --
)

# same_tree WHAT CATALOGUE FOLDER: the folder must match the file CATALOGUE.
same_tree() {
    catalogue "$3" >found.catalogue
    if cmp -s -- "$2" found.catalogue; then
        pass "$1"
    else
        fail "$1: $3 is not as $2 says"
        { diff -a <(tr '\0' '\n' <"$2") <(tr '\0' '\n' <found.catalogue) || true; } | head -n 10 | sed 's/^/    /' >&2
    fi
}

# obstruct KIND PATH: puts an item that is not a file at a free path.
obstruct() {
    mkdir -p -- "${2%/*}"
    case $1 in
        folder) mkdir "$2" ;;
        "full folder") mkdir -p "$2/more" ;;
        link) ln -s /nowhere "$2" ;;
        pipe) mkfifo "$2" ;;
        socket) perl -MSocket -e 'chdir $ARGV[0] or die; socket my $s, AF_UNIX, SOCK_STREAM, 0 or die; bind $s, sockaddr_un($ARGV[1]) or die' "${2%/*}" "${2##*/}" ;;
    esac
}
obstructions=(folder "full folder" link pipe socket)

# bytes_in FOLDER: prints the total size of the folder's files.
bytes_in() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }
