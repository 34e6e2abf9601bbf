// Only pins GoReleaser. main.go is built inside a copy of its module, whose packages are internal
// and whose own go.sum pins the rest.
module reader

go 1.26.0

require github.com/goreleaser/goreleaser/v2 v2.17.0
