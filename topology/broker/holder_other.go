//go:build !linux

package broker

import "fmt"

func holder(port string) string {
	return fmt.Sprintf(" (find by whom: lsof -nP -iTCP:%s -sTCP:LISTEN)", port)
}
