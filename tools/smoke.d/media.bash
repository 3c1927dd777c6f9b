# Real media for the end-to-end scripts: disk images, FUSE mounts and an sshd on loopback. A script makes, mounts,
# unplugs and ends them itself. It sources this file after shared.bash, in mount and process namespaces of its own. So
# all its mounts and processes end with it, even if it is killed.
#
# The checks of a script know only the `place` of a medium and the results of the functions `can_...`. These functions
# use standard tools to try what the medium can do. They do not look at its name.

# All media, in the order in which they are tried.
all_media=(exfat-fuse fusefat ntfs-3g vfat exfat ext4 xfs btrfs sshfs sshfs-nolink sshfs-old rclone rclone-cached)
# media_size MEDIUM: prints the medium's size, which is small, so that tests can fill it. xfs needs at least 300 MB, and
# btrfs 109.
media_size() { case $1 in xfs) echo 300M ;; btrfs) echo 150M ;; *) echo 100M ;; esac; }

# Not empty if the medium sends content to its server only after a sync has returned.
sends_later=

# place MEDIUM: prints the folder where the medium is mounted.
place() { printf '%s/mnt/%s' "$work" "$1"; }
# is_image MEDIUM: true if the medium is a file system in a file.
is_image() { [[ $1 != sshfs* && $1 != rclone* ]]; }

# make_medium MEDIUM: makes an empty medium and does not mount it. If that fails, the file `medium.log` says why.
make_medium() {
    case $1 in
    exfat-fuse | exfat) make_image "$1" mkfs.exfat ;;
    fusefat | vfat) make_image "$1" mkfs.vfat -F 32 ;;
    ntfs-3g) make_image "$1" mkntfs -F -Q ;;
    ext4) make_image "$1" mkfs.ext4 -q ;;
    xfs) make_image "$1" mkfs.xfs -q ;;
    btrfs) make_image "$1" mkfs.btrfs -q ;;
    # There are three kinds of servers: with all of OpenSSH's extensions, without links, and with only the protocol's
    # draft. The last one's rename fails if the name is taken.
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
# make_far MEDIUM: makes the folder on the server of a network mount, on a small disk of its own.
make_far() {
    mkdir -p "$work/far/$1" && mount -t tmpfs -o "size=$(media_size "$1"),mode=755" none "$work/far/$1" 2>medium.log
    mounted+=("$work/far/$1")
}

# start_server MEDIUM OPTIONS: starts OpenSSH's SFTP server with OPTIONS, in an SSH server on loopback with its own
# keys. No login shell is involved, because its start-up files may do anything. If there is no sshd, sshfs talks to the
# SFTP server through a pipe.
start_server() {
    local sshd server=/usr/lib/openssh/sftp-server try
    [[ -x $server ]] || { echo "there is no $server" >medium.log && return 1; }
    mkdir -p ssh
    reach=(-o "ssh_command=$work/ssh/serve")
    printf '#!/bin/sh\nexec %s %s\n' "$server" "$2" >ssh/serve
    chmod +x ssh/serve
    sshd=$(PATH=$PATH:/usr/sbin command -v sshd) || return 0
    # The folder for sshd's process without rights.
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
# until_answers PORT: waits until the server listens. Fails if the server has ended, for example because another program
# uses the port.
until_answers() {
    while kill -0 "$sshd_pid" 2>/dev/null; do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        sleep 0.02
    done
    return 1
}

# plug MEDIUM: mounts the medium.
plug() {
    local at image=$work/img/$1 loop try
    at=$(place "$1")
    mkdir -p "$at"
    case $1 in
    exfat-fuse)
        # exfat-fuse needs a block device. The loop device is removed after its last use.
        loop=$(losetup -f --show "$image") && {
            mount.exfat-fuse "$loop" "$at" >medium.log 2>&1 || { losetup -d "$loop" && false; }
        } && losetup -d "$loop"
        ;;
    # fusefat runs with one thread. With several, it returns bytes that another thread has read.
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
# until_sent MEDIUM: if the mount sends content later, waits some time until the server has all of it.
until_sent() {
    local try
    [[ $sends_later ]] || return 0
    for try in {1..100}; do
        [[ $(comm -23 <(sizes_in "$(place "$1")") <(sizes_in "$work/far/$1")) ]] || return 0
        sleep 0.1
    done
}
sizes_in() { find "$1" -type f -printf '%s\n' | sort; }
# unplug MEDIUM: unmounts the medium, as a careful user does.
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
# tear_off MEDIUM: takes the medium away without warning: kills its daemon or shuts its file system down, and detaches
# the mount.
tear_off() {
    local at
    at=$(place "$1")
    case $1 in
    ext4 | xfs) xfs_io -x -c shutdown "$at" ;;
    # These file systems cannot be shut down. The lazy unmount below does not wait.
    btrfs | vfat | exfat) ;;
    *) daemons "$1" | xargs -r kill -KILL ;;
    esac
    umount -l -- "$at"
    until_gone "$1"
}
# daemons MEDIUM: prints the processes that serve the medium. Only processes of this script are visible.
daemons() { pgrep -f -- "^[^ ]*(fuse|fusefat|ntfs-3g|sshfs|rclone|ssh) .*$(place "$1")( |\$)" || true; }
# until_gone MEDIUM: waits until no process uses the medium any more. Until then, cached content still goes to the
# image.
until_gone() {
    local try
    for try in {1..500}; do
        [[ $(daemons "$1") ]] || [[ -e $work/img/$1 && $(losetup -j "$work/img/$1") ]] || return 0
        sleep 0.02
    done
    return 1
}

# --- What a medium can do ---

# keeps_what_is_synced MEDIUM: true if content is on the server when a sync has returned. An rclone cache sends it
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
# can_link FOLDER, can_symlink FOLDER, ...: true if the medium can do that. Each function tries it with a new name.
can_link() { tried "$1" 'echo x >"$0" && ln "$0" "$0.2" && test "$(stat -c %h "$0")" = 2'; }
can_copy_link() { tried "$1" 'echo x >"$0" && ln "$0" "$0.2"'; }
can_symlink() { tried "$1" 'ln -s target "$0"'; }
# sshfs makes a link that leads out of the mount, but then cannot read it.
can_far_symlink() { tried "$1" 'ln -s /nowhere "$0" && test "$(readlink "$0")" = /nowhere'; }
can_fifo() { tried "$1" 'mkfifo "$0"'; }
can_mode() { tried "$1" 'echo x >"$0" && chmod 640 "$0" && test "$(stat -c %a "$0")" = 640'; }
can_take_modes() { tried "$1" 'echo x >"$0" && chmod 644 "$0"'; }
can_own() { tried "$1" 'echo x >"$0" && chown 1234:1234 "$0" && test "$(stat -c %u "$0")" = 1234'; }
can_attribute() { tried "$1" 'echo x >"$0" && setfattr -n user.note -v yes "$0"'; }
can_hole() { tried "$1" 'truncate -s 100k "$0" && echo x | dd of="$0" bs=1 seek=200000 conv=notrunc status=none'; }
can_seek() { tried "$1" 'echo abc >"$0" && echo x | dd of="$0" bs=1 seek=1 conv=notrunc status=none'; }
can_both_cases() { tried "$1" 'echo x >"$0" && test ! -e "${0/try/TRY}"'; }
# can_be_shared FOLDER: true if two programs that read one file at the same time both get its content. fusefat fails
# here.
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
# tried FOLDER COMMAND: runs the command with a new name as $0, and removes the files that it made.
tried() {
    local status=0
    bash -c "$2" "$1/.try" 2>/dev/null || status=1
    rm -f -- "$1/.try" "$1/.try.2" 2>/dev/null || true
    return "$status"
}

# --- Files on a medium ---

# rewrite FILE: replaces the content by standard input, which has the same length. Writes in place. If the medium can
# only write files from their beginning, writes the whole file.
rewrite() {
    cat >rewritten
    dd if=rewritten of="$1" conv=notrunc status=none 2>/dev/null || cat rewritten >"$1"
    # fusefat does not change the file's time. Without a new time, no program could see such an edit.
    (($(date +%s) - $(stat -c %Y "$1") < 5)) || printf '%s\0' "$1" | dated now
}

# dated TIME: sets the time of the files whose names are on standard input, each followed by a NUL byte. touch(1) opens
# files for writing, which some media forbid for finished files.
dated() { perl -0 -ne 'BEGIN { $time = `date -u -d "$ARGV[0]" +%s`; shift } chomp; utime $time, $time, $_ or die "$_: $!\n"' "$1"; }

# contents FOLDER: prints what a restore from this medium must bring back: names, types, sizes, times to the second, and
# contents.
contents() (
    cd -- "$1"
    find . -type f -printf '%P\t%s %Ts\0' -o -type d -printf '%P\td\0' -o -printf '%P\t%y %l\0' | sort -z
    find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z --
)
