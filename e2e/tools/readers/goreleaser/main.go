//go:build ignore

// Signs and notarizes a binary with GoReleaser's own code and a configuration file: reader CONFIG DARWIN_BINARY.
// GoReleaser reads the credential from the environment, signs the binary, requests a timestamp, and sends a token to
// Apple to notarize. Both requests are intercepted: this program answers the first, and prints the token in the second.
package main

import (
	"bytes"
	stdctx "context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/goreleaser/goreleaser/v2/internal/artifact"
	"github.com/goreleaser/goreleaser/v2/internal/pipe/notary"
	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/goreleaser/goreleaser/v2/pkg/context"
)

const (
	timestamps  = "http://timestamp.apple.com/ts01"
	submissions = "https://appstoreconnect.apple.com/notary/v2/submissions"
)

// A certificate and its private key.
type identity struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Self-signed if issuer is nil.
func issue(name string, use x509.ExtKeyUsage, issuer *identity) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{use},
	}
	if issuer == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
		issuer = &identity{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &identity{certificate, key}, err
}

// Replaces the HTTP transport, so no request leaves the process.
type interceptor struct{ timestamper *identity }

func (i interceptor) RoundTrip(request *http.Request) (*http.Response, error) {
	switch request.URL.String() {
	case timestamps:
		return i.timestamp(request)
	case submissions:
		token, found := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !found {
			return nil, errors.New("the request has no token")
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"token": token}); err != nil {
			return nil, err
		}
		os.Exit(0)
	}
	return nil, fmt.Errorf("unexpected request: %s", request.URL)
}

func (i interceptor) timestamp(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	query, err := timestamp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm:     query.HashAlgorithm,
		HashedMessage:     query.HashedMessage,
		Nonce:             query.Nonce,
		Time:              time.Now(),
		Policy:            []int{1, 2, 3},
		AddTSACertificate: query.Certificates,
	}
	answer, err := stamp.CreateResponseWithOpts(i.timestamper.certificate, i.timestamper.key, query.HashAlgorithm)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/timestamp-reply"}},
		Body:          io.NopCloser(bytes.NewReader(answer)),
		ContentLength: int64(len(answer)),
		Request:       request,
	}, nil
}

func run(configuration, binary string) error {
	root, err := issue("Root", x509.ExtKeyUsageAny, nil)
	if err != nil {
		return err
	}
	signer, err := issue("Signer", x509.ExtKeyUsageCodeSigning, root)
	if err != nil {
		return err
	}
	timestamper, err := issue("Timestamper", x509.ExtKeyUsageTimeStamping, root)
	if err != nil {
		return err
	}
	http.DefaultTransport = interceptor{timestamper}

	// GoReleaser needs a signing certificate, which the Step doesn't export.
	p12, err := pkcs12.Modern.Encode(signer.key, signer.certificate, []*x509.Certificate{root.certificate}, "p12")
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.Setenv("MACOS_SIGN_P12", base64.StdEncoding.EncodeToString(p12)),
		os.Setenv("MACOS_SIGN_PASSWORD", "p12"),
	); err != nil {
		return err
	}

	project, err := config.Load(configuration)
	if err != nil {
		return err
	}
	ctx := context.Wrap(stdctx.Background(), project)

	// GoReleaser signs the file in place, so it gets a copy.
	folder, err := os.MkdirTemp("", "goreleaser")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "hello")
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o700); err != nil {
		return err
	}
	ctx.Artifacts.Add(&artifact.Artifact{
		Name:   "hello",
		Path:   path,
		Goos:   "darwin",
		Goarch: "arm64",
		Type:   artifact.Binary,
		Extra:  map[string]any{artifact.ExtraID: project.ProjectName},
	})

	pipe := notary.MacOS{}
	if err := pipe.Default(ctx); err != nil {
		return err
	}
	if err := pipe.Run(ctx); err != nil {
		return err
	}
	return errors.New("GoReleaser signed the binary, but did not notarize it")
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reader CONFIG DARWIN_BINARY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
