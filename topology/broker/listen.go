package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// gatedListener takes the port at once, so that a port in use is an error before anything else happens, but hands out
// connections only once it is opened. Its Addr is what clients are told.
type gatedListener struct {
	net.Listener
	advertised net.Addr
	gate       chan struct{}
	once       sync.Once
}

type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (h hostPort) String() string { return string(h) }

func listen(address, advertise string) (*gatedListener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("broker: %q is not host:port; for example %s", address, DefaultListen)
	}
	ln, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("broker: port %s on %s is in use%s; stop that program, or choose another port with --kafka-listen %s:0 (a free one) "+
			"— if it is the Kafka you mean to use, run `weir process --brokers %s` instead: %w", port, host, holder(port), host, address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("broker: this user may not listen on %s; choose a port above 1023 with --kafka-listen: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("broker: %s is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all: %w", host, err)
	case err != nil:
		return nil, fmt.Errorf("broker: listen on %s: %w", address, err)
	}
	g := &gatedListener{Listener: ln, advertised: ln.Addr(), gate: make(chan struct{})}
	if advertise != "" {
		if _, _, err := net.SplitHostPort(advertise); err != nil {
			ln.Close()
			return nil, fmt.Errorf("broker: advertised address %q is not host:port: %w", advertise, err)
		}
		g.advertised = hostPort(advertise)
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		ln.Close()
		return nil, fmt.Errorf("broker: %s is every address of this machine, and clients must be told one to connect to; listen on that one, for example --kafka-listen %s",
			address, net.JoinHostPort(hostname(), port))
	}
	return g, nil
}

func hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "127.0.0.1"
}

func (g *gatedListener) Addr() net.Addr { return g.advertised }

func (g *gatedListener) open() { g.once.Do(func() { close(g.gate) }) }

func (g *gatedListener) Accept() (net.Conn, error) {
	<-g.gate
	return g.Listener.Accept()
}

func (g *gatedListener) Close() error {
	g.open()
	return g.Listener.Close()
}
