//go:build ignore

// GoReleaser's own code that signs and notarizes, with the configuration of its documentation:
// reader CONFIG DARWIN_BINARY. It takes the credential from its environment, signs the binary,
// has it timestamped, signs a token, and asks Apple to notarize. Both requests are caught: the
// first is answered here, the second's token is printed.
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

// A certificate and its key, issued by another, or by itself.
type identity struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

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

// Stands where requests leave the process. None does.
type catcher struct{ clock *identity }

func (c catcher) RoundTrip(request *http.Request) (*http.Response, error) {
	switch request.URL.String() {
	case timestamps:
		return c.timestamp(request)
	case submissions:
		token, found := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !found {
			return nil, errors.New("no token")
		}
		if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"token": token}); err != nil {
			return nil, err
		}
		os.Exit(0)
	}
	return nil, fmt.Errorf("not a request that was expected: %s", request.URL)
}

func (c catcher) timestamp(request *http.Request) (*http.Response, error) {
	asked, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	query, err := timestamp.ParseRequest(asked)
	if err != nil {
		return nil, err
	}
	given := timestamp.Timestamp{
		HashAlgorithm:     query.HashAlgorithm,
		HashedMessage:     query.HashedMessage,
		Nonce:             query.Nonce,
		Time:              time.Now(),
		Policy:            []int{1, 2, 3},
		AddTSACertificate: query.Certificates,
	}
	answer, err := given.CreateResponseWithOpts(c.clock.certificate, c.clock.key, query.HashAlgorithm)
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
	clock, err := issue("Clock", x509.ExtKeyUsageTimeStamping, root)
	if err != nil {
		return err
	}
	http.DefaultTransport = catcher{clock}

	// The certificate is not what this is about, and comes from elsewhere than the Step.
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

	// It is signed in its place.
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
	return errors.New("the binary was signed, and nothing was notarized")
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
