// Runs electron-builder's own code for notarization, with its own @electron/notarize, up to Apple's notarytool.
// Prints the arguments of notarytool.
'use strict';

const childProcess = require('node:child_process');

if (process.argv[2] === '--version') {
  console.log(require('app-builder-lib/package.json').version);
  process.exit(0);
}

// Apple's xcrun and ditto exist only on macOS. All commands before notarytool succeed without doing anything.
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
    console.error('electron-builder did not notarize the app');
    process.exit(1);
  },
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
