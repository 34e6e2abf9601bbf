// electron-builder's own step that notarizes, with its own @electron/notarize, up to where it
// starts Apple's notarytool: its arguments are printed.
'use strict';

const childProcess = require('node:child_process');

if (process.argv[2] === '--version') {
  console.log(require('app-builder-lib/package.json').version);
  process.exit(0);
}

// xcrun and ditto are Apple's. What comes before notarytool succeeds, and does nothing.
const { spawn } = childProcess;
childProcess.spawn = (command, args) => {
  if (command === 'xcrun' && args[0] === 'notarytool' && args[1] === 'submit') {
    process.stdout.write(`${JSON.stringify({ notarytool: args.slice(2).map(String) })}\n`, () => process.exit(0));
  }
  return spawn('true', []);
};

const { MacTargetHelper } = require('app-builder-lib/out/mac/MacTargetHelper');
const helper = Object.create(MacTargetHelper.prototype);
helper.packager = { platformSpecificBuildOptions: {} };
helper.notarizeIfProvided('/nowhere/Hello.app').then(
  () => {
    console.error('nothing was notarized');
    process.exit(1);
  },
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
