# Real media for the end-to-end scripts: disk images, FUSE mounts and a loopback sshd that a script makes, mounts, tears
# away and ends itself. A script sources this file after shared.bash, in a mount and a process namespace of its own:
# what it has mounted and started is gone when it ends, however it ends.
#
# Of the media only `place` and what `can_...` finds out are known to the checks: what holds for a medium is tried with
# the C library's tools, not looked up by its name.

# Every medium that can be asked for, in the order in which they are tried.
all_media=(exfat-fuse fusefat ntfs-3g vfat exfat ext4 xfs btrfs sshfs sshfs-nolink sshfs-old rclone rclone-cached)
# Small, so that they can be filled. xfs makes none under 300 MB, btrfs none under 109.
media_size() { case $1 in xfs) echo 300M ;; btrfs) echo 150M ;; *) echo 100M ;; esac; }

# Set where content is sent after it was called synced.
sends_later=

# place MEDIUM: where it is mounted.
place() { printf '%s/mnt/%s' "$work" "$1"; }
# is_image MEDIUM: whether it is a file system in a file.
is_image() { [[ $1 != sshfs* && $1 != rclone* ]]; }

# make_medium MEDIUM: an empty one, not mounted yet. Why it cannot be made is in the file `medium.log`.
make_medium() {
    case $1 in
    exfat-fuse | exfat) make_image "$1" mkfs.exfat ;;
    fusefat | vfat) make_image "$1" mkfs.vfat -F 32 ;;
    ntfs-3g) make_image "$1" mkntfs -F -Q ;;
    ext4) make_image "$1" mkfs.ext4 -q ;;
    xfs) make_image "$1" mkfs.xfs -q ;;
    btrfs) make_image "$1" mkfs.btrfs -q ;;
    # Servers of three kinds: with all of OpenSSH's extensions, without links, and one that knows the protocol's
    # draft only, whose rename fails where the name is taken.
    sshfs) make_far "$1" && start_server "$1" "" ;;
    sshfs-nolink) make_far "$1" && start_server "$1" "-P hardlink" ;;
    sshfs-old) make_far "$1" && start_server "$1" "-P hardlink,posix-rename,fsync,statvfs,fstatvfs,lsetstat" ;;
    rclone | rclone-cached) make_far "$1" ;;
    esac
}
# make_image MEDIUM COMMAND...
make_image() {
    local file=$work/img/$1
    shift
    mkdir -p "$work/img" && truncate -s "$(media_size "${file##*/}")" "$file" && "$@" "$file" >medium.log 2>&1
}
# make_far MEDIUM: the folder at the other end of a network mount, on a small disk of its own.
make_far() {
    mkdir -p "$work/far/$1" && mount -t tmpfs -o "size=$(media_size "$1"),mode=755" none "$work/far/$1" 2>medium.log
    mounted+=("$work/far/$1")
}

# start_server MEDIUM OPTIONS: OpenSSH's SFTP server with OPTIONS, in an SSH server on loopback with keys of its own: no
# login shell, whose start-up files may do anything, is on the way. Where there is no sshd, sshfs talks to the SFTP
# server through a pipe.
start_server() {
    local sshd server=/usr/lib/openssh/sftp-server try
    [[ -x $server ]] || { echo "there is no $server" >medium.log && return 1; }
    mkdir -p ssh
    reach=(-o "ssh_command=$work/ssh/serve")
    printf '#!/bin/sh\nexec %s %s\n' "$server" "$2" >ssh/serve
    chmod +x ssh/serve
    sshd=$(PATH=$PATH:/usr/sbin command -v sshd) || return 0
    # Where sshd puts the half of it that may do nothing.
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f ssh/key
    ssh-keygen -q -t ed25519 -N '' -f ssh/host
    for try in {1..20}; do
        port=$((20000 + RANDOM % 12000))
        printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "HostKey $work/ssh/host" "PidFile none" \
            "AuthorizedKeysFile $work/ssh/key.pub" "StrictModes no" "UsePAM no" "PermitRootLogin yes" \
            "PasswordAuthentication no" "Subsystem sftp internal-sftp $2" >ssh/config
        "$sshd" -D -e -f "$work/ssh/config" 2>medium.log &
        sshd_pid=$!
        until_answers "$port" || continue
        reach=(-p "$port" -o "IdentityFile=$work/ssh/key" -o StrictHostKeyChecking=no
            -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
        return 0
    done
    return 1
}
# until_answers PORT: waits for the server to listen; fails when it has ended, as when the port is another's.
until_answers() {
    while kill -0 "$sshd_pid" 2>/dev/null; do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        sleep 0.02
    done
    return 1
}

# plug MEDIUM: mounts it.
plug() {
    local at image=$work/img/$1 loop try
    at=$(place "$1")
    mkdir -p "$at"
    case $1 in
    exfat-fuse)
        # It takes block devices only. The loop device goes with its last user.
        loop=$(losetup -f --show "$image") && {
            mount.exfat-fuse "$loop" "$at" >medium.log 2>&1 || { losetup -d "$loop" && false; }
        } && losetup -d "$loop"
        ;;
    # By one thread: with more it hands out what another one has just read.
    fusefat) fusefat -s -o rw+ "$image" "$at" >medium.log 2>&1 ;;
    ntfs-3g) ntfs-3g "$image" "$at" >medium.log 2>&1 ;;
    sshfs*) sshfs "${reach[@]}" "root@127.0.0.1:$work/far/$1" "$at" 2>medium.log ;;
    rclone) rclone mount --config /dev/null --daemon "$work/far/$1" "$at" 2>medium.log ;;
    rclone-cached)
        rclone mount --config /dev/null --daemon --vfs-cache-mode writes --vfs-write-back 1s \
            --cache-dir "$work/rclone-cache" "$work/far/$1" "$at" 2>medium.log
        ;;
    *) mount -o loop -t "$1" "$image" "$at" 2>medium.log ;;
    esac </dev/null || return 1
    for try in {1..250}; do
        ! mountpoint -q "$at" || break
        sleep 0.02
    done
    mountpoint -q "$at" && mounted+=("$at")
}
# until_sent MEDIUM: waits a while until the other end has what a mount that sends later shows.
until_sent() {
    local try
    [[ $sends_later ]] || return 0
    for try in {1..100}; do
        [[ $(comm -23 <(sizes_in "$(place "$1")") <(sizes_in "$work/far/$1")) ]] || return 0
        sleep 0.1
    done
}
sizes_in() { find "$1" -type f -printf '%s\n' | sort; }
# unplug MEDIUM: as a careful user does it.
unplug() {
    local try
    until_sent "$1"
    for try in {1..250}; do
        umount -- "$(place "$1")" 2>medium.log && break
        sleep 0.02
    done
    ! mountpoint -q "$(place "$1")" && until_gone "$1"
}
replug() { unplug "$1" && plug "$1"; }
# tear MEDIUM: away in the middle of everything: its daemon is killed, its file system shut down, and it is mounted
# again.
tear_off() {
    local at
    at=$(place "$1")
    case $1 in
    ext4 | xfs) xfs_io -x -c shutdown "$at" ;;
    # It cannot be shut down; the unmounting waits for nobody.
    btrfs | vfat | exfat) ;;
    *) daemons "$1" | xargs -r kill -KILL ;;
    esac
    umount -l -- "$at"
    until_gone "$1"
}
# daemons MEDIUM: the processes that serve it. Only those of this script can be seen.
daemons() { pgrep -f -- "^[^ ]*(fuse|fusefat|ntfs-3g|sshfs|rclone|ssh) .*$(place "$1")( |\$)" || true; }
# until_gone MEDIUM: waits until nothing of it is open any more: what is left in a cache reaches the image first.
until_gone() {
    local try
    for try in {1..500}; do
        [[ $(daemons "$1") ]] || [[ -e $work/img/$1 && $(losetup -j "$work/img/$1") ]] || return 0
        sleep 0.02
    done
    return 1
}

# --- What a medium can do ---

# keeps_what_is_synced MEDIUM: whether content is where it belongs once a sync has returned. A rclone cache sends it
# later.
keeps_what_is_synced() {
    local status=0
    ! is_image "$1" || return 0
    noise synced 300000 >synced
    dd if=synced of="$(place "$1")/.synced" conv=fsync status=none
    cmp -s synced "$work/far/$1/.synced" || status=1 sends_later=yes
    rm "$(place "$1")/.synced"
    return "$status"
}
# can_link FOLDER, can_symlink FOLDER, ...: tried with a name of its own.
can_link() { tried "$1" 'echo x >"$0" && ln "$0" "$0.2" && test "$(stat -c %h "$0")" = 2'; }
can_copy_link() { tried "$1" 'echo x >"$0" && ln "$0" "$0.2"'; }
can_symlink() { tried "$1" 'ln -s target "$0"'; }
# sshfs makes a link that leads out of the mount and then does not say where it leads.
can_far_symlink() { tried "$1" 'ln -s /nowhere "$0" && test "$(readlink "$0")" = /nowhere'; }
can_fifo() { tried "$1" 'mkfifo "$0"'; }
can_mode() { tried "$1" 'echo x >"$0" && chmod 640 "$0" && test "$(stat -c %a "$0")" = 640'; }
can_take_modes() { tried "$1" 'echo x >"$0" && chmod 644 "$0"'; }
can_own() { tried "$1" 'echo x >"$0" && chown 1234:1234 "$0" && test "$(stat -c %u "$0")" = 1234'; }
can_attribute() { tried "$1" 'echo x >"$0" && setfattr -n user.note -v yes "$0"'; }
can_hole() { tried "$1" 'truncate -s 100k "$0" && echo x | dd of="$0" bs=1 seek=200000 conv=notrunc status=none'; }
can_seek() { tried "$1" 'echo abc >"$0" && echo x | dd of="$0" bs=1 seek=1 conv=notrunc status=none'; }
can_both_cases() { tried "$1" 'echo x >"$0" && test ! -e "${0/try/TRY}"'; }
# can_be_shared FOLDER: whether two programs that read one file at once both get what is in it. fusefat fails here.
can_be_shared() {
    local status=0
    noise shared 200 >shared
    cp shared "$1/.shared"
    reads_same "$1/.shared" &
    reads_same "$1/.shared" || status=1
    wait "$!" || status=1
    rm "$1/.shared"
    return "$status"
}
reads_same() { for _ in {1..300}; do cmp -s shared "$1" || return 1; done; }
# can_name FOLDER NAME
can_name() { (cd -- "$1" && echo x >"$2" && grep -qx x "$2" && rm -- "$2") 2>/dev/null; }
# tried FOLDER COMMAND: the command, with a new name as $0, and nothing is left of it.
tried() {
    local status=0
    bash -c "$2" "$1/.try" 2>/dev/null || status=1
    rm -f -- "$1/.try" "$1/.try.2" 2>/dev/null || true
    return "$status"
}

# --- Files on a medium ---

# rewrite FILE: gives it the content of standard input, which is as long as its own; in place, and as a whole where a
# medium writes no file but from its beginning.
rewrite() {
    cat >rewritten
    dd if=rewritten of="$1" conv=notrunc status=none 2>/dev/null || cat rewritten >"$1"
    # fusefat leaves a file its old time, and nothing could see such an edit.
    (($(date +%s) - $(stat -c %Y "$1") < 5)) || printf '%s\0' "$1" | dated now
}

# dated TIME: sets the time of the files that are named on standard input, each ended by a NUL byte. touch(1) opens them
# for writing, which not every medium allows to a file that is whole.
dated() { perl -0 -ne 'BEGIN { $time = `date -u -d "$ARGV[0]" +%s`; shift } chomp; utime $time, $time, $_ or die "$_: $!\n"' "$1"; }

# contents FOLDER: what a restore from this medium must bring back: names, types, sizes, times to the second, contents.
contents() (
    cd -- "$1"
    find . -type f -printf '%P\t%s %Ts\0' -o -type d -printf '%P\td\0' -o -printf '%P\t%y %l\0' | sort -z
    find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z --
)
