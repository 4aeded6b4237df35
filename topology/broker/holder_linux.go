package broker

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holder names the process that listens on a port, as far as this user may see it.
func holder(port string) string {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(table, n, inodes)
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // only a malformed pattern is an error
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, "socket:[") || !inodes[strings.Trim(target[len("socket:"):], "[]")] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf(" by %s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return fmt.Sprintf(" (find by whom: ss -ltnp 'sport = :%s')", port)
}

func listening(table string, port uint64, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listenState = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		col := strings.Fields(lines.Text()) // sl, local address, remote address, state, …, inode at 9
		if len(col) < 10 || col[3] != listenState {
			continue
		}
		_, hex, _ := strings.Cut(col[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && p == port {
			inodes[col[9]] = true
		}
	}
}
