module example.com/shop

go 1.21

toolchain go1.21.5

require (
	github.com/gin-gonic/gin v1.7.2
	golang.org/x/text v0.3.5 // indirect
	example.com/local v0.0.0-00010101000000-000000000000
	"github.com/quoted/mod" v2.0.0+incompatible
)

require golang.org/x/net v0.7.0

replace example.com/local => ../local

replace golang.org/x/net v0.7.0 => golang.org/x/net v0.17.0 // security

exclude github.com/old/thing v1.0.0
