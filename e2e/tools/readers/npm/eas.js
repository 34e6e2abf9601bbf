// Runs EAS CLI's own code, up to the first request to Apple or Expo:
//
//   node eas.js login            the login of `eas metadata`, `eas credentials` and `eas build`
//   node eas.js submit PROFILE   the credential that `eas submit` sends, with the eas.json in this folder
'use strict';

const printAndExit = (result) => {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
  return new Promise(() => {}); // no code runs after this
};

async function login() {
  const appleUtils = require('@expo/apple-utils');
  // Replaces the two functions that contact Apple. There is no earlier session to restore.
  const Auth = {
    ...appleUtils.Auth,
    tryRestoringAuthStateFromUserCredentialsAsync: async () => null,
    loginWithUserCredentialsAsync: ({ username, password, teamId }) =>
      printAndExit({ apple_id: username, password, team_id: teamId }),
  };
  const loaded = require.resolve('@expo/apple-utils');
  require.cache[loaded].exports = { ...appleUtils, Auth };
  const AppStoreApi = require('eas-cli/build/credentials/ios/appstore/AppStoreApi').default;

  // `eas metadata` passes no options if the key comes from the environment.
  const context = await new AppStoreApi().ensureAuthenticatedAsync();
  const { inHouse, id } = context.team;
  await printAndExit({ token: await context.authState.context.token.getToken(), team_id: id, in_house: inHouse });
}

async function submit(name) {
  const { EasJsonAccessor, EasJsonUtils } = require('@expo/eas-json');
  const IosSubmitCommand = require('eas-cli/build/submit/ios/IosSubmitCommand').default;
  const { getAscApiKeyLocallyAsync } = require('eas-cli/build/submit/ios/AscApiKeySource');
  const { getAppSpecificPasswordLocallyAsync } = require('eas-cli/build/submit/ios/AppSpecificPasswordSource');

  const accessor = EasJsonAccessor.fromProjectPath(__dirname);
  const profile = await EasJsonUtils.getSubmitProfileAsync(accessor, 'ios', name);
  const context = { profile, nonInteractive: true, projectDir: __dirname, credentialsCtx: { appStore: {} } };
  const { appSpecificPasswordSource, ascApiKeySource } = await new IosSubmitCommand(
    context,
  ).resolveCredentialSubmissionOptionsAsync();
  if (appSpecificPasswordSource) {
    const source = appSpecificPasswordSource.enforceValue();
    const { appleIdUsername, password } = await getAppSpecificPasswordLocallyAsync(context, source);
    await printAndExit({ apple_id: appleIdUsername, app_password: password });
  }
  const { result } = await getAscApiKeyLocallyAsync(context, ascApiKeySource.enforceValue());
  await printAndExit({ key: result.keyP8, key_id: result.keyId, issuer_id: result.issuerId });
}

if (process.argv[2] === '--version') {
  console.log(require('eas-cli/package.json').version);
} else {
  ({ login, submit })[process.argv[2]](process.argv[3]).catch((error) => {
    console.error(error.message);
    process.exit(1);
  });
}
