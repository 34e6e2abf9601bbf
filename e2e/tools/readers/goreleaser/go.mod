// Only pins GoReleaser. main.go is built inside a copy of GoReleaser's module, because it uses internal packages.
// The go.sum in the copy pins all other modules.
module reader

go 1.26.0

require github.com/goreleaser/goreleaser/v2 v2.17.0
