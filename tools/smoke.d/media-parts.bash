# The tests of 55-real-media for the medium `medium`, with the files in $SMOKE_FILES. There are three parts, each in a
# new folder `at` on the medium.
#
# No test looks at the name of a medium. Standard tools find out what the medium can do, and the tests expect the
# same of bakstore. If a medium cannot do something, the check says what must happen instead.
rounds=${BAKSTORE_MEDIA_ROUNDS:-1}

# --- The medium holds the repository ---

as_repository() {
    local number first durable=yes
    if ! keeps_what_is_synced "$medium"; then
        durable=
        skip "a repository that is unplugged" "what this medium says is synced is sent later, in any order"
    fi
    export BAKSTORE_REPOSITORY
    BAKSTORE_REPOSITORY=$at/backups/repo
    cp -a "$SMOKE_FILES/photos" source
    catalogue source >first.catalogue
    expect 0 "repository: it is made" init --pack-size 1M
    ((status == 0)) || return 0
    expect 0 "repository: the first backup" backup source --json
    first=$(field snapshot_id)
    change_photos source
    catalogue source >second.catalogue
    [[ ! $durable ]] || check "repository: replugged" replug "$medium"
    expect 0 "repository: the second backup" backup source --json
    check "... knows what is there" test "$(field files_unmodified)" -gt 25
    expect 0 "repository: the first snapshot is restored" restore "$first:$work/source" -t first
    same_tree "it is whole" first.catalogue first
    expect 0 "repository: the second snapshot is restored" restore "latest:$work/source" -t second
    same_tree "it is whole" second.catalogue second
    expect 0 "repository: every byte is read" check --read-data
    rm -rf first second

    for ((number = 0; number < rounds; number++)); do
        is_killed "$number"
        [[ ! $durable ]] || is_torn_off "$number"
    done
    if can_be_shared "$at"; then
        has_two_at_once
    else
        skip "two backups at once" "two programs that read one file there get bytes of each other"
    fi

    expect 0 "repository: all but one are forgotten" forget --keep-last 1
    expect 0 "repository: pruned" prune
    expect 0 "repository: every byte of what stays is read" check --read-data
    expect 0 "repository: backed up after the prune" backup source
    [[ ! $durable ]] || check "repository: replugged" replug "$medium"
    expect 0 "repository: restored after the prune" restore "latest:$work/source" -t pruned
    same_tree "it is whole" second.catalogue pruned
    check "repository: nothing of an unfinished write is left but in tmp" test -z \
        "$(find "$BAKSTORE_REPOSITORY" -name '.bakstore-*' ! -path '*/tmp/*' -print -quit)"
    rm -rf source pruned
}

# change_photos FOLDER: makes the changes that a user makes between two backups.
change_photos() {
    noise edited 4321 | dd of=edited bs=1000 seek=10 status=none
    tail -c +14322 "$1/Album A/IMG_3.jpg" >>edited
    rewrite "$1/Album A/IMG_3.jpg" <edited
    mv "$1/Album B" "$1/Album C"
    noise added 77777 >"$1/new.jpg"
    rm "$1/Album A/IMG_7.jpg"
    mv "$1/film.mp4" "$1/deep/film.mp4"
}

# is_killed NUMBER: a backup is killed in the middle. The medium stays connected.
is_killed() {
    cp -a "$SMOKE_FILES/big" big
    echo "$1" >big/file-aa
    catalogue big >big.catalogue
    begin backup big --compression zstd:15 --read-concurrency 1
    until_done has_stored "$BAKSTORE_REPOSITORY"
    signal KILL
    ended
    expect 0 "killed ($status): what is there is whole" check
    [[ ! $durable ]] || check "killed: replugged" replug "$medium"
    expect 0 "killed: the next backup" backup big
    expect 0 "killed: it is restored" restore "latest:$work/big" -t whole
    same_tree "it is whole" big.catalogue whole
    rm -rf whole big
}

# is_torn_off NUMBER: the medium is unplugged in the middle of a backup.
is_torn_off() {
    cp -a "$SMOKE_FILES/more" more
    echo "$1" >more/file-aa
    catalogue more >more.catalogue
    begin backup more --compression zstd:15 --read-concurrency 1
    until_done has_stored "$BAKSTORE_REPOSITORY"
    tear_off "$medium" >/dev/null 2>&1 &
    tearing=$!
    ended
    expect_status "0|1|3|10|11" "torn off: the backup ends"
    wait "$tearing" || true
    check "torn off: it is mounted again" plug "$medium"
    expect 0 "torn off: what is there is whole" check --read-data
    expect 0 "torn off: the first backup is still there" restore "$first:$work/source" -t first
    same_tree "it is whole" first.catalogue first
    expect 0 "torn off: the next backup" backup more
    expect 0 "torn off: it is restored" restore "latest:$work/more" -t whole
    same_tree "it is whole" more.catalogue whole
    rm -rf whole more first
}

# has_two_at_once: two backups and a prune run at the same time.
has_two_at_once() {
    local processes=() process name codes=""
    for name in one two; do
        mkdir "$name"
        for number in 1 2 3 4 5 6; do noise "$name$number" 400000 >"$name/$number"; done
        catalogue "$name" >"$name.catalogue"
    done
    for name in one two; do
        "$program" backup "$name" --json >"$name.output" 2>"$name.errors" </dev/null &
        processes+=($!)
    done
    run prune
    codes=$status
    for process in "${processes[@]}"; do
        status=0
        wait "$process" || status=$?
        codes+=" $status"
    done
    command_line="prune beside two backups"
    # On a medium that cannot refuse taken names, the prune may refuse to run beside backups.
    if [[ $codes =~ ^(0|1)\ 0\ 0$ ]]; then pass "two backups beside a prune"; else
        fail "two backups beside a prune end with $codes: $(cat one.errors two.errors)"
    fi
    for name in one two; do
        cp "$name.output" output
        expect 0 "$name of two is restored" restore "$(field snapshot_id):$work/$name" -t "back-$name"
        same_tree "it is whole" "$name.catalogue" "back-$name"
    done
    expect 0 "two at once: every byte is read" check --read-data
    rm -rf one two back-one back-two
}

# --- The medium holds the source ---

as_source() {
    local photos long time
    photos=$at/photos
    export BAKSTORE_REPOSITORY=$work/source-repo
    cp -r "$SMOKE_FILES/photos" "$photos"
    find "$photos" -print0 | dated '2021-06-05 10:20:31'
    # Times of early cameras, of clocks that were never set, and of the far future.
    for time in '1979-12-31 23:00:00' '1980-01-01 00:00:00' '1999-12-31 23:59:59' '2037-01-01 00:00:01'; do
        echo "$time" >"$photos/from ${time%%-*}"
        printf '%s\0' "$photos/from ${time%%-*}" | dated "$time"
    done
    long=$(printf 'ж%.0s' {1..200})
    if can_name "$at" "$long"; then echo long >"$photos/$long"; else long=; fi
    if can_copy_link "$photos"; then ln "$photos/film.mp4" "$photos/second.mp4"; fi
    if can_symlink "$photos"; then ln -s film.mp4 "$photos/link"; fi
    check "source: replugged" replug "$medium"

    expect 0 "source: a repository on another disk" init
    expect 0 "source: the first backup" backup "$photos"
    is_as_now "source: the first backup"
    is_changed
    is_edited_at_once
    has_reused_numbers
    rm -rf "$BAKSTORE_REPOSITORY"
}

# is_as_now WHAT: the last snapshot, restored to another disk, must equal the medium's present files.
is_as_now() {
    local wanted=0
    rm -rf back
    contents "$photos" >now.contents
    # The name is too long for the other disk. The restore must say so.
    [[ ! $long ]] || wanted=3
    expect "$wanted" "$1: it is restored to another disk" restore "latest:$photos" -t back -v --json
    contents back >back.contents
    if [[ $long ]]; then
        note_items "$photos" <errors
        check "$1: the name that is too long for that disk is named" test "${named[/$long]:-}"
        expect 0 "$1: the long name's content comes out all the same" cat "latest:$photos/$long"
        check "it is what it was" test "$(cat output)" = long
        sed -z -i "/$long/d" now.contents
    fi
    if cmp -s now.contents back.contents; then pass "$1: it is as on the medium"; else
        fail "$1: it is not as on the medium"
        { diff -a <(tr '\0' '\n' <now.contents) <(tr '\0' '\n' <back.contents) || true; } | head | sed 's/^/    /' >&2
    fi
}

# is_changed: the second backup. The medium was unplugged, so inode numbers have changed, but the files have not.
is_changed() {
    local files
    files=$(find "$photos" -type f | wc -l)
    check "source: replugged" replug "$medium"
    expect 0 "source: nothing has changed" backup "$photos" --json
    check "source: nothing is stored again" test "$(field data_added)" -lt 10000
    # If a medium gives new inode numbers at each mount, the backup reads its files again, unless --ignore-inode says
    # that the numbers have no meaning. If a medium has a real ctime, the files are too new for their times to be
    # trusted.
    check "source: replugged" replug "$medium"
    expect 0 "source: nothing has changed, and numbers mean nothing" backup "$photos" --ignore-inode --json
    if [[ $(stat -c %Z "$photos/film.mp4") == "$(stat -c %Y "$photos/film.mp4")" ]]; then
        check "source: files at their place are not read again ($(field files_unmodified) of $files)" \
            test "$(field files_unmodified)" -ge $((files - 4))
        check "source: ... nor their bytes ($(field bytes_read))" test "$(field bytes_read)" -lt 100000
    fi
    change_photos "$photos"
    noise same-size 3000 >"$photos/Album A/small.jpg"
    check "source: replugged" replug "$medium"
    expect 0 "source: the backup after changes" backup "$photos" --json
    check "source: what moved is not stored again" test "$(field data_added)" -lt 1000000
    is_as_now "source: after changes"
}

# is_edited_at_once: a file is edited in the same step of the medium's clock as the backup, and keeps its size. Once the
# edit is a write, and once it goes through a memory map that stays open.
is_edited_at_once() {
    local round
    for round in 1 2 3; do
        noise "edit $round" 3000 | rewrite "$photos/Album A/small.jpg"
        expect 0 "source: a backup just after an edit" backup "$photos"
        noise "again $round" 3000 | rewrite "$photos/Album A/small.jpg"
        expect 0 "source: a backup just after another edit" backup "$photos"
        expect 0 "source: the small file" cat "latest:$photos/Album A/small.jpg"
        check "source: an edit within a step of the clock is seen" cmp -s output "$photos/Album A/small.jpg"
    done
    command -v python3 >/dev/null || { skip "a file that stays mapped" "there is no python3" && return; }
    can_seek "$at" || return 0
    noise mapped 8192 >"$photos/mapped"
    mkfifo go done
    python3 -c '
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    memory[0:5] = b"first"
    open("done", "w").close()
    open("go").close()
    memory[0:5] = b"later"
    open("done", "w").close()
    open("go").close()
' "$photos/mapped" &
    mapper=$!
    cat done
    expect 0 "source: a backup of a file that is mapped" backup "$photos"
    : >go
    cat done
    expect 0 "source: a backup after the mapped page changed" backup "$photos"
    expect 0 "source: the mapped file" cat "latest:$photos/mapped"
    check "source: what was written through memory is seen" grep -qa '^later' output
    : >go
    wait "$mapper"
    rm -f go done "$photos/mapped"
}

# has_reused_numbers: a folder is deleted, and another one is made. Its files have the same names, sizes and times.
has_reused_numbers() {
    local name
    mkdir "$photos/Summer"
    for name in metadata.json cover.jpg; do echo "Summer of $name" >"$photos/Summer/$name"; done
    find "$photos/Summer" -print0 | dated '2024-05-05 10:00:00'
    check "source: replugged" replug "$medium"
    expect 0 "source: an album" backup "$photos"
    rm -r "$photos/Summer"
    check "source: replugged" replug "$medium"
    mkdir "$photos/Winter"
    for name in metadata.json cover.jpg; do echo "Winter of $name" >"$photos/Winter/$name"; done
    find "$photos/Winter" -print0 | dated '2024-05-05 10:00:00'
    expect 0 "source: another album instead" backup "$photos"
    for name in metadata.json cover.jpg; do
        expect 0 "source: its $name" cat "latest:$photos/Winter/$name"
        check "source: a new album's files are not taken for a deleted one's" test "$(cat output)" = "Winter of $name"
    done
}

# --- The medium is a restore's target ---

as_target() {
    # If a medium refuses modes, as fusefat does, each restore says so at its end.
    local whole=3
    ! can_take_modes "$at" || whole=0
    export BAKSTORE_REPOSITORY=$work/target-repo
    expect 0 "target: a repository on another disk" init --pack-size 1M
    make_odd odd
    expect "0|3" "target: all kinds of entries are backed up" backup odd
    expect 0 "target: large files are backed up" backup "$SMOKE_FILES/big"
    takes_odd_entries
    is_killed_restoring
    is_full
    rm -rf odd "$BAKSTORE_REPOSITORY"
}

# make_odd FOLDER: makes entries such that every medium refuses some of them.
make_odd() {
    local name
    mkdir -p "$1"/{plain,names,kinds,marked,times}
    noise plain 700000 >"$1/plain/large.jpg"
    echo small >"$1/plain/small.txt"
    : >"$1/plain/empty"
    for name in 'a:b' 'what?' 'st*r' 'pi|pe' '<angle>' '"quote"' 'back\slash' 'dot.' 'space ' 'CON' $'new\nline' \
        $'no utf8 \xff' 'é' "$(printf 'ж%.0s' {1..120})"; do
        echo "$name" >"$1/names/$name"
    done
    echo upper >"$1/names/IMG_1.JPG"
    echo lower >"$1/names/img_1.jpg"
    noise link 5000 >"$1/kinds/one"
    ln "$1/kinds/one" "$1/kinds/two"
    ln -s one "$1/kinds/link"
    ln -s /nowhere "$1/kinds/broken"
    mkfifo "$1/kinds/fifo"
    # Holes in the middle and at the end.
    noise hole 100000 >"$1/kinds/hole"
    noise hole 100000 | dd of="$1/kinds/hole" bs=1000 seek=2000 conv=notrunc status=none
    truncate -s 4000000 "$1/kinds/hole"
    for name in 600 640 755 444; do echo "$name" >"$1/marked/$name" && chmod "$name" "$1/marked/$name"; done
    echo theirs >"$1/marked/owner"
    chown 1234:2345 "$1/marked/owner"
    echo noted >"$1/marked/attribute"
    setfattr -n user.note -v yes "$1/marked/attribute" 2>/dev/null || true
    for name in '1999-12-31 23:59:59.999999999' '2020-02-29 12:00:01.123456789' '2037-01-01 00:00:03.5'; do
        echo "$name" >"$1/times/${name%%-*}"
        touch -d "$name UTC" "$1/times/${name%%-*}"
    done
}

# takes_odd_entries: every entry that the medium can have must be restored, and every other entry must be named. A
# second restore must have nothing to do.
takes_odd_entries() {
    local path lost restore=(restore "latest:$work/odd" -t "$at/odd")
    # The latest snapshot has the large files, so the one before it is restored.
    restore[1]="latest~1:$work/odd"
    expect "0|3" "target: all kinds of entries are restored" "${restore[@]}" -v --json
    cat output errors >odd.said
    answers_for_each odd "$at/odd" odd.said
    check "target: an item that is missing makes it 3" test "$status" = "$((missing ? 3 : 0))"
    keeps_marks
    (cd "$at/odd" && find . -type f -print0) >there
    expect "0|3" "target: again" "${restore[@]}" --overwrite if-changed -v --json
    check "target: nothing is written twice ($(field files_restored) files were)" test "$(field files_restored)" = 0
    check "target: an item that is missing makes it 3 again" test "$status" = "$((missing ? 3 : 0))"
    check "target: replugged" replug "$medium"
    # After a new mount, rclone shows a line break in a name as another character.
    lost=$(while IFS= read -r -d '' path; do [[ -e $at/odd/$path ]] || echo lost; done <there | wc -l)
    expect "0|3" "target: once more, after a replug" "${restore[@]}" --overwrite if-changed --json
    check "target: nothing is written then ($(field files_restored) files were)" test "$(field files_restored)" = "$lost"
    has_no_halves "$at/odd"
}

# answers_for_each SOURCE TARGET SAID: each entry must be restored correctly, or the medium cannot have it and the
# output in the file SAID names it. The number of entries that are not restored goes to `missing`.
answers_for_each() {
    local path excuse
    missing=0
    note_items "$work/$1" <"$3"
    while IFS= read -r -d '' path; do
        is_alike "$1/$path" "$2/$path" && continue
        missing=$((missing + 1))
        excuse=$(excuse "$1" "$path")
        if [[ ! $excuse ]]; then
            fail "target: $path is not as it was, and it could be"
        elif [[ ${named[/$path]:-} ]]; then
            pass "target: $path is not there ($excuse), and named"
        else
            fail "target: $path is not there ($excuse), and not named"
        fi
    done < <(cd "$1" && find . ! -type d -printf '%P\0' | sort -z)
}
# note_items FOLDER: reads the errors in JSON from standard input, and stores the items that they name in `named`, by
# their paths in FOLDER.
note_items() {
    local path
    named=()
    perl -MJSON::PP -MMIME::Base64 -MEncode -ne 'my $line = eval { JSON::PP->new->utf8->decode($_) } or next;
        next unless $line->{message_type} eq "error" && defined $line->{item};
        print $line->{item_base64} ? decode_base64($line->{item_base64}) : encode("UTF-8", $line->{item}), "\0"' >items
    # The restore is of a folder in the snapshot. Some errors name the path in the snapshot.
    while IFS= read -r -d '' path; do named[/${path#"$1"/}]=yes; done <items
}
declare -A named=()

# is_alike SOURCE TARGET: true if both have the same type and content.
is_alike() {
    if [[ -L $1 ]]; then
        [[ -L $2 && $(readlink "$1") == "$(readlink "$2")" ]]
    elif [[ -p $1 ]]; then
        [[ -p $2 ]]
    else
        [[ -f $2 && ! -L $2 ]] && cmp -s "$1" "$2"
    fi
}
# excuse FOLDER PATH: prints why the medium cannot have the entry; nothing if it can.
excuse() {
    if [[ -L $1/$2 && $(readlink "$1/$2") == /* ]]; then
        can_far_symlink "$at" || echo "no symbolic links that lead out of it"
    elif [[ -L $1/$2 ]]; then
        can_symlink "$at" || echo "no symbolic links"
    elif [[ -p $1/$2 ]]; then
        can_fifo "$at" || echo "no FIFOs"
    elif [[ $2 == */hole ]]; then
        can_hole "$at" || echo "no holes"
    elif [[ ${2,,} == */img_1.jpg ]]; then
        can_both_cases "$at" || echo "one name"
    else
        can_name "$at" "${2##*/}" || echo "no such names"
    fi
}

# keeps_marks: checks modes, owners, attributes, hard links and times, if the medium has them.
keeps_marks() {
    local name want got
    if can_mode "$at"; then
        for name in 600 640 755 444; do
            check "target: the mode $name" test "$(stat -c %a "$at/odd/marked/$name")" = "$name"
        done
    fi
    if can_own "$at"; then
        check "target: the owner" test "$(stat -c %u:%g "$at/odd/marked/owner")" = 1234:2345
    fi
    if can_attribute "$at" && getfattr -n user.note odd/marked/attribute >/dev/null 2>&1; then
        check "target: the attribute" test \
            "$(getfattr --only-values -n user.note "$at/odd/marked/attribute" 2>/dev/null)" = yes
    fi
    if can_link "$at"; then
        check "target: two names of one file" test "$at/odd/kinds/one" -ef "$at/odd/kinds/two"
    fi
    # FAT stores times in steps of two seconds.
    for name in times/1999 times/2020 times/2037 plain/large.jpg names; do
        want=$(stat -c %Y "odd/$name")
        got=$(stat -c %Y "$at/odd/$name" 2>/dev/null || echo 0)
        check "target: the time of $name ($((got - want)) s off)" test $((got - want)) -ge -2 -a $((got - want)) -le 1
    done
}

# has_no_halves FOLDER: no temporary may be left.
has_no_halves() {
    check "target: no temporary is left" test -z "$(find "$1" -name '.bakstore-*' -print -quit)"
}

# is_killed_restoring: a restore is killed in the middle and run again, with each mode of --overwrite.
is_killed_restoring() {
    local mode round
    for mode in if-changed if-newer never; do
        for ((round = 0; round < rounds; round++)); do
            rm -rf "$at/big"
            begin restore "latest:$SMOKE_FILES/big" -t "$at/big"
            until_done has_files "$at/big"
            signal KILL
            ended
            ((round)) || [[ $mode != never ]] || check "target: replugged" replug "$medium"
            expect "$whole" "target: killed, and again with $mode" restore "latest:$SMOKE_FILES/big" -t "$at/big" --overwrite "$mode"
            contents "$SMOKE_FILES/big" | sed -z 's/ [0-9]*$//' >want.contents
            contents "$at/big" | sed -z 's/ [0-9]*$//' >got.contents
            check "target: all is whole, with $mode" cmp -s want.contents got.contents
            has_no_halves "$at/big"
        done
    done
    rm -rf "$at/big"
}
has_files() { [[ $(find "$1" -type f -size +1k -print -quit 2>/dev/null) ]]; }

# is_full: the target has space for a third of the files.
is_full() {
    local name room
    # A disk on a server is filled on the server, because a network mount may take minutes to report ENOSPC.
    room=$at
    is_image "$medium" || room=$work/far/$medium
    noise room 4000000 >"$room/room"
    timeout 60 head -c 1G /dev/zero >"$room/filler" 2>/dev/null || true
    rm "$room/room"
    sync -f "$room" 2>/dev/null || true
    if head -c 8M /dev/zero | dd of="$at/more" conv=fsync status=none 2>filling; then
        skip "a full target" "this medium takes more than the disk behind it has room for"
    elif ! grep -qE 'No space left|Input/output error' filling; then
        rm -f "$room/filler" "$at/more"
        skip "a full target" "this driver tells another reason: $(sed 's/.*: //' filling | head -n 1)"
        return 0
    else
        expect 1 "target: it is too small" restore "latest:$SMOKE_FILES/big" -t "$at/big"
        says 'No space left|room|missing'
    fi
    rm -f "$at/more"
    for name in "$at"/big/*; do
        [[ ! -f $name ]] || check "target: what is there is whole" cmp -s "$name" "$SMOKE_FILES/big/${name##*/}"
    done
    rm "$room/filler"
    sync -f "$room" 2>/dev/null || true
    expect "$whole" "target: with room made" restore "latest:$SMOKE_FILES/big" -t "$at/big" --overwrite if-changed
    check "target: all is there" diff -rq "$SMOKE_FILES/big" "$at/big"
    has_no_halves "$at/big"
}
