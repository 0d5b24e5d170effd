package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// resolve reads an address or looks up a host name.
func resolve(name string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(list) == 0 {
		return netip.Addr{}, fmt.Errorf("%s has no address", name)
	}
	return list[0].Unmap(), nil
}
