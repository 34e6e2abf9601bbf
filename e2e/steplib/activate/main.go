// Activates a step from a StepLib by the code that newer Bitrise CLIs do it with, and prints what
// the CLI would start: `executable <path>`, or `source <folder>`.
//
//	activate STEPLIB ID VERSION FOLDER
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bitrise-io/go-utils/log"
	"github.com/bitrise-io/stepman/activator"
	"github.com/bitrise-io/stepman/stepid"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: activate STEPLIB ID VERSION FOLDER")
		os.Exit(2)
	}
	id := stepid.CanonicalID{SteplibSource: os.Args[1], IDorURI: os.Args[2], Version: os.Args[3]}
	folder := filepath.Join(os.Args[4], "step")

	log.SetOutWriter(os.Stderr)
	step, err := activator.ActivateSteplibRefStep(log.NewDefaultLogger(true), id, folder, os.Args[4], false, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if step.ActivationType == activator.ActivationTypeSteplibExecutable {
		fmt.Println("executable", step.ExecutablePath)
	} else {
		fmt.Println("source", folder)
	}
}
