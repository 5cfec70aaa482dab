package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// unixPrefix begins a Config.Listen that is the path of a Unix socket.
const unixPrefix = "unix:"

// maxSocketPath is the longest path of a socket: the kernel has room for 108
// bytes on Linux and 104 on others, and a socket is made under a longer name.
const maxSocketPath = 80

// listen opens the address that a flag says, TCP or a Unix socket with the
// permissions of mode.
func listen(flag, address string, mode fs.FileMode) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		l, err := listenUnix(path, mode)
		if err != nil {
			return nil, socketError(flag, address, err)
		}
		return l, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError(flag, address, err)
	}
	return l, nil
}

// A socket is a Unix socket that is listened on, at a path of ours.
type socket struct {
	net.Listener
	addr *net.UnixAddr
	info fs.FileInfo
}

// Addr returns the path.
func (s *socket) Addr() net.Addr { return s.addr }

// Close also removes the socket, unless another one has taken its place.
func (s *socket) Close() error {
	if info, err := os.Lstat(s.addr.Name); err == nil && os.SameFile(info, s.info) {
		os.Remove(s.addr.Name)
	}
	return s.Listener.Close()
}

var (
	errSocketPath = fmt.Errorf("want unix: and a path of 1 to %d bytes, such as unix:/run/weir.sock", maxSocketPath)
	errNoSocket   = errors.New("there is a file that is no socket: want a path of its own for the socket")
	errSocketUsed = errors.New("somebody listens there: stop that, or want another path")
)

// listenUnix listens on a Unix socket with the permissions of mode. One that a
// process has left behind is replaced, one in use is not.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if path == "" || len(path) > maxSocketPath || strings.ContainsRune(path, 0) {
		return nil, errSocketPath
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, errNoSocket
		}
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, errSocketUsed
		}
	}
	// It is made where nobody else can connect, and moved when it has its
	// permissions.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".weir")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	info, err := place(made, path, mode)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &socket{Listener: l, addr: &net.UnixAddr{Name: path, Net: "unix"}, info: info}, nil
}

// place gives a new socket its permissions and its path.
func place(made, path string, mode fs.FileMode) (fs.FileInfo, error) {
	if err := os.Chmod(made, mode); err != nil {
		return nil, err
	}
	info, err := os.Lstat(made)
	if err != nil {
		return nil, err
	}
	return info, os.Rename(made, path)
}

// socketError says why a path cannot be listened on. It is ErrConfig if the
// same path will not do later either.
func socketError(flag, listen string, err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, errSocketPath), errors.Is(err, errNoSocket), errors.Is(err, syscall.ENOTDIR):
		return configError(fmt.Errorf("%s %q: %w", flag, listen, err))
	case errors.Is(err, fs.ErrNotExist):
		return configError(fmt.Errorf("%s %q: the directory does not exist: want the path of a socket in one that does", flag, listen))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %q: not permitted: want a directory that weir may write to", flag, listen)
	case errors.As(err, &path):
		err = path.Err // the path in it is one that nobody knows
	}
	return fmt.Errorf("%s %q: %w", flag, listen, err)
}
