// What a Bitrise CLI newer than the one in e2e/tools activates a StepLib's step with. A module of
// its own: that CLI does not compile with this version.
module activate

go 1.26.0

require (
	github.com/bitrise-io/go-utils v1.0.13
	github.com/bitrise-io/stepman v0.24.1
)

require (
	github.com/bitrise-io/envman/v2 v2.5.2 // indirect
	github.com/bitrise-io/go-utils/v2 v2.0.0-alpha.35 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.7 // indirect
	github.com/hashicorp/go-version v1.8.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)
