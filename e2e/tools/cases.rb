# Each tool with each kind of credential. read.rb runs the cases with the readers in readers/, which contain the
# tools' own code.
#
#   tool           the tool in the Step's input `export_for`
#   reader         a program that run.sh installs, with its arguments
#   kind           the credential: team_key, individual_key (which has no issuer) or apple_id. The suffix
#                  _without_team leaves out the input `team_id`
#
# A case has one of three results. The tool reads the credential:
#   reads          the variables that the tool reads; all others make no difference
#   finds          the values that the tool must find (a token that it signs shows that it found the key)
#
# The tool rejects the credential:
#   rejects        a pattern for its error message
#
# The tool signs a token that Apple rejects:
#   token_rejected a pattern for Apple's reason
#
# Optional:
#   sets           variables that the case sets in addition to the Step's outputs
#   warned         whether the Step warns that the tool can't use the credential (default: true if the tool or
#                  Apple rejects it)
#   note           how the case differs from others of the same tool

Case = Struct.new(:tool, :reader, :kind, :reads, :finds, :rejects, :token_rejected, :sets, :warned, :note,
                  keyword_init: true)

KEY = %i[key_id issuer_id].freeze

CASES = [
  # --- Codemagic CLI tools
  { tool: 'codemagic', reader: %w[codemagic], kind: :team_key, finds: KEY,
    reads: %w[APP_STORE_CONNECT_KEY_IDENTIFIER APP_STORE_CONNECT_ISSUER_ID APP_STORE_CONNECT_PRIVATE_KEY] },
  { tool: 'codemagic', reader: %w[codemagic], kind: :individual_key,
    sets: { 'APP_STORE_CONNECT_KEY_IDENTIFIER' => :key_id, 'APP_STORE_CONNECT_PRIVATE_KEY' => :key_reference },
    rejects: /argument --issuer-id: Missing value ISSUER_ID/ },
  { tool: 'codemagic', reader: %w[codemagic], kind: :apple_id,
    rejects: /argument --issuer-id: Missing value ISSUER_ID/ },

  # --- EAS CLI. With a key from the environment, it also needs the team. If that is not set, it prompts for the team,
  # which fails without a terminal.
  { tool: 'expo', reader: %w[eas login], kind: :team_key, finds: KEY + %i[team_id],
    reads: %w[EXPO_ASC_KEY_ID EXPO_ASC_ISSUER_ID EXPO_ASC_API_KEY_PATH EXPO_APPLE_TEAM_ID EXPO_APPLE_TEAM_TYPE] },
  { tool: 'expo', reader: %w[eas login], kind: :individual_key, finds: %i[key_id team_id],
    reads: %w[EXPO_ASC_KEY_ID EXPO_ASC_API_KEY_PATH EXPO_APPLE_TEAM_ID EXPO_APPLE_TEAM_TYPE] },
  { tool: 'expo', reader: %w[eas login], kind: :apple_id, finds: %i[apple_id password team_id],
    reads: %w[EXPO_APPLE_ID EXPO_APPLE_PASSWORD EXPO_APPLE_TEAM_ID] },
  { tool: 'expo', reader: %w[eas login], kind: :team_key_without_team, warned: false,
    rejects: /Failed to display prompt: (Select your Apple Team Type|Apple Team ID):/ },
  { tool: 'expo', reader: %w[eas submit team_key], kind: :team_key, finds: KEY,
    reads: %w[EXPO_ASC_KEY_ID EXPO_ASC_ISSUER_ID EXPO_ASC_API_KEY_PATH] },
  # eas.json must not contain the issuer, because EAS rejects an empty one.
  { tool: 'expo', reader: %w[eas submit individual_key], kind: :individual_key, finds: %i[key_id],
    reads: %w[EXPO_ASC_KEY_ID EXPO_ASC_API_KEY_PATH] },
  { tool: 'expo', reader: %w[eas submit team_key], kind: :individual_key, warned: false,
    note: 'with the issuer in eas.json', rejects: /"ascApiKeyIssuerId" is not allowed to be empty/ },
  { tool: 'expo', reader: %w[eas submit apple_id], kind: :apple_id, finds: %i[apple_id app_password],
    reads: %w[EXPO_APPLE_ID EXPO_APPLE_APP_SPECIFIC_PASSWORD] },

  # --- electron-builder
  { tool: 'electron', reader: %w[electron-builder], kind: :team_key, finds: KEY,
    reads: %w[APPLE_API_KEY APPLE_API_KEY_ID APPLE_API_ISSUER] },
  { tool: 'electron', reader: %w[electron-builder], kind: :individual_key,
    sets: { 'APPLE_API_KEY' => :key_path, 'APPLE_API_KEY_ID' => :key_id },
    rejects: /APPLE_API_KEY, APPLE_API_KEY_ID and APPLE_API_ISSUER need to be set/ },
  { tool: 'electron', reader: %w[electron-builder], kind: :apple_id, finds: %i[apple_id app_password team_id],
    reads: %w[APPLE_ID APPLE_APP_SPECIFIC_PASSWORD APPLE_TEAM_ID] },
  # An Apple ID takes precedence over a key, and it is an error if one of its three variables is missing.
  { tool: 'electron', reader: %w[electron-builder], kind: :team_key, sets: { 'APPLE_ID' => :apple_id }, warned: false,
    note: 'with APPLE_ID', rejects: /APPLE_APP_SPECIFIC_PASSWORD env var needs to be set/ },
  # The outputs for `bitrise` include two of electron-builder's three variables.
  { tool: nil, reader: %w[electron-builder], kind: :team_key, warned: false,
    note: 'without `electron` in `export_for`',
    rejects: /APPLE_API_KEY, APPLE_API_KEY_ID and APPLE_API_ISSUER need to be set/ },

  # --- Tauri and cargo-packager, which read the same variables
  *%w[tauri cargo-packager].flat_map do |reader|
    missing = /APPLE_ID & APPLE_PASSWORD & APPLE_TEAM_ID or APPLE_API_KEY & APPLE_API_ISSUER & APPLE_API_KEY_PATH/
    [
      { tool: 'tauri', reader: [reader], kind: :team_key, finds: KEY,
        reads: %w[APPLE_API_KEY APPLE_API_ISSUER APPLE_API_KEY_PATH] },
      { tool: 'tauri', reader: [reader], kind: :individual_key,
        sets: { 'APPLE_API_KEY' => :key_id, 'APPLE_API_KEY_PATH' => :key_path }, rejects: missing },
      { tool: 'tauri', reader: [reader], kind: :apple_id, finds: %i[apple_id app_password team_id],
        reads: %w[APPLE_ID APPLE_PASSWORD APPLE_TEAM_ID] }
    ]
  end,
  { tool: 'tauri', reader: %w[tauri], kind: :apple_id_without_team, warned: false,
    sets: { 'APPLE_ID' => :apple_id, 'APPLE_PASSWORD' => :app_password },
    rejects: /The team ID is now required for notarization/ },

  # --- quill
  { tool: 'quill', reader: %w[quill], kind: :team_key, finds: KEY,
    reads: %w[QUILL_NOTARY_KEY QUILL_NOTARY_KEY_ID QUILL_NOTARY_ISSUER] },
  { tool: 'quill', reader: %w[quill], kind: :individual_key,
    sets: { 'QUILL_NOTARY_KEY' => :key_path, 'QUILL_NOTARY_KEY_ID' => :key_id },
    token_rejected: /an individual key's token has iss/ },
  { tool: 'quill', reader: %w[quill], kind: :apple_id, rejects: /unable to parse EC private key for JWT/ },

  # --- GoReleaser, with the configuration in its documentation
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :team_key, finds: KEY,
    reads: %w[MACOS_NOTARY_KEY MACOS_NOTARY_KEY_ID MACOS_NOTARY_ISSUER_ID] },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :individual_key,
    sets: { 'MACOS_NOTARY_KEY' => :key_path, 'MACOS_NOTARY_KEY_ID' => :key_id },
    rejects: /map has no entry for key "MACOS_NOTARY_ISSUER_ID"/ },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :individual_key, warned: false,
    sets: { 'MACOS_NOTARY_KEY' => :key_path, 'MACOS_NOTARY_KEY_ID' => :key_id, 'MACOS_NOTARY_ISSUER_ID' => :empty },
    note: 'with an empty issuer', rejects: /will not try to notarize/ },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :apple_id,
    rejects: /map has no entry for key "MACOS_NOTARY_KEY"/ },

  # --- rcodesign
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :team_key, finds: KEY, reads: %w[APPLE_RCODESIGN_API_KEY_PATH] },
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :individual_key,
    sets: { 'APPLE_RCODESIGN_API_KEY_PATH' => :rcodesign_json }, rejects: /missing field `issuer_id`/ },
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :apple_id, rejects: /APPLE_RCODESIGN_API_KEY_PATH is not set/ }
].map { |row| Case.new(warned: row.key?(:rejects) || row.key?(:token_rejected), **row) }.freeze
