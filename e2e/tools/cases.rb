# What each tool makes of each kind of credential, when it finds what the Step exports for it.
# read.rb runs them; the readers are the tools' own code, in readers/.
#
#   tool          as in the Step's input `export_for`
#   reader        a program that run.sh installs, with its arguments
#   kind          the credential: team_key, individual_key (without an issuer), apple_id
#   takes         the tool's own code finds it in exactly these of our names, whatever else is set, ...
#   gives         ... and this is what it makes of it (a key is checked by a token, or signs one)
#   refuses       or: however complete the names, the tool's own words for why it will not
#   token_refused or: it signs a token all the same, and this is why Apple refuses it
#   given         the names that a refusal is tested with, whatever the Step exports
#   warned        whether the Step says beforehand that the tool cannot (default: when it refuses)
#   note          what sets this case apart

Case = Struct.new(:tool, :reader, :kind, :takes, :gives, :refuses, :token_refused, :given, :warned, :note,
                  keyword_init: true)

KEY = %i[key_id issuer_id].freeze

CASES = [
  # --- Codemagic CLI tools
  { tool: 'codemagic', reader: %w[codemagic], kind: :team_key, gives: KEY,
    takes: %w[APP_STORE_CONNECT_KEY_IDENTIFIER APP_STORE_CONNECT_ISSUER_ID APP_STORE_CONNECT_PRIVATE_KEY] },
  { tool: 'codemagic', reader: %w[codemagic], kind: :individual_key,
    given: { 'APP_STORE_CONNECT_KEY_IDENTIFIER' => :key_id, 'APP_STORE_CONNECT_PRIVATE_KEY' => :key_reference },
    refuses: /argument --issuer-id: Missing value ISSUER_ID/ },
  { tool: 'codemagic', reader: %w[codemagic], kind: :apple_id,
    refuses: /argument --issuer-id: Missing value ISSUER_ID/ },

  # --- EAS CLI. Where the key comes from the environment, it asks for the team, too, and without
  # a terminal it cannot ask.
  { tool: 'expo', reader: %w[eas login], kind: :team_key, gives: KEY + %i[team_id],
    takes: %w[EXPO_ASC_KEY_ID EXPO_ASC_ISSUER_ID EXPO_ASC_API_KEY_PATH EXPO_APPLE_TEAM_ID EXPO_APPLE_TEAM_TYPE] },
  { tool: 'expo', reader: %w[eas login], kind: :individual_key, gives: %i[key_id team_id],
    takes: %w[EXPO_ASC_KEY_ID EXPO_ASC_API_KEY_PATH EXPO_APPLE_TEAM_ID EXPO_APPLE_TEAM_TYPE] },
  { tool: 'expo', reader: %w[eas login], kind: :apple_id, gives: %i[apple_id password team_id],
    takes: %w[EXPO_APPLE_ID EXPO_APPLE_PASSWORD EXPO_APPLE_TEAM_ID] },
  { tool: 'expo', reader: %w[eas login], kind: :team_key_without_team, warned: false,
    refuses: /Failed to display prompt: (Select your Apple Team Type|Apple Team ID):/ },
  { tool: 'expo', reader: %w[eas submit team_key], kind: :team_key, gives: KEY,
    takes: %w[EXPO_ASC_KEY_ID EXPO_ASC_ISSUER_ID EXPO_ASC_API_KEY_PATH] },
  # eas.json must not name the issuer then: an empty one is no valid value.
  { tool: 'expo', reader: %w[eas submit individual_key], kind: :individual_key, gives: %i[key_id],
    takes: %w[EXPO_ASC_KEY_ID EXPO_ASC_API_KEY_PATH] },
  { tool: 'expo', reader: %w[eas submit team_key], kind: :individual_key, warned: false,
    note: 'its issuer in eas.json', refuses: /"ascApiKeyIssuerId" is not allowed to be empty/ },
  { tool: 'expo', reader: %w[eas submit apple_id], kind: :apple_id, gives: %i[apple_id app_password],
    takes: %w[EXPO_APPLE_ID EXPO_APPLE_APP_SPECIFIC_PASSWORD] },

  # --- electron-builder
  { tool: 'electron', reader: %w[electron-builder], kind: :team_key, gives: KEY,
    takes: %w[APPLE_API_KEY APPLE_API_KEY_ID APPLE_API_ISSUER] },
  { tool: 'electron', reader: %w[electron-builder], kind: :individual_key,
    given: { 'APPLE_API_KEY' => :key_path, 'APPLE_API_KEY_ID' => :key_id },
    refuses: /APPLE_API_KEY, APPLE_API_KEY_ID and APPLE_API_ISSUER need to be set/ },
  { tool: 'electron', reader: %w[electron-builder], kind: :apple_id, gives: %i[apple_id app_password team_id],
    takes: %w[APPLE_ID APPLE_APP_SPECIFIC_PASSWORD APPLE_TEAM_ID] },
  # An Apple ID wins over a key, and two of its three names are an error.
  { tool: 'electron', reader: %w[electron-builder], kind: :team_key, given: { 'APPLE_ID' => :apple_id }, warned: false,
    note: 'beside APPLE_ID', refuses: /APPLE_APP_SPECIFIC_PASSWORD env var needs to be set/ },
  # What scripts and Bitrise's Steps read has two of its three names, too.
  { tool: nil, reader: %w[electron-builder], kind: :team_key, warned: false,
    note: 'without `electron` in `export_for`',
    refuses: /APPLE_API_KEY, APPLE_API_KEY_ID and APPLE_API_ISSUER need to be set/ },

  # --- Tauri, and cargo-packager, which reads the same names
  *%w[tauri cargo-packager].flat_map do |reader|
    missing = /APPLE_ID & APPLE_PASSWORD & APPLE_TEAM_ID or APPLE_API_KEY & APPLE_API_ISSUER & APPLE_API_KEY_PATH/
    [
      { tool: 'tauri', reader: [reader], kind: :team_key, gives: KEY,
        takes: %w[APPLE_API_KEY APPLE_API_ISSUER APPLE_API_KEY_PATH] },
      { tool: 'tauri', reader: [reader], kind: :individual_key,
        given: { 'APPLE_API_KEY' => :key_id, 'APPLE_API_KEY_PATH' => :key_path }, refuses: missing },
      { tool: 'tauri', reader: [reader], kind: :apple_id, gives: %i[apple_id app_password team_id],
        takes: %w[APPLE_ID APPLE_PASSWORD APPLE_TEAM_ID] }
    ]
  end,
  { tool: 'tauri', reader: %w[tauri], kind: :apple_id_without_team, warned: false,
    given: { 'APPLE_ID' => :apple_id, 'APPLE_PASSWORD' => :app_password },
    refuses: /The team ID is now required for notarization/ },

  # --- quill
  { tool: 'quill', reader: %w[quill], kind: :team_key, gives: KEY,
    takes: %w[QUILL_NOTARY_KEY QUILL_NOTARY_KEY_ID QUILL_NOTARY_ISSUER] },
  { tool: 'quill', reader: %w[quill], kind: :individual_key,
    given: { 'QUILL_NOTARY_KEY' => :key_path, 'QUILL_NOTARY_KEY_ID' => :key_id },
    token_refused: /an individual key's token has iss/ },
  { tool: 'quill', reader: %w[quill], kind: :apple_id, refuses: /unable to parse EC private key for JWT/ },

  # --- GoReleaser, with the configuration of its documentation
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :team_key, gives: KEY,
    takes: %w[MACOS_NOTARY_KEY MACOS_NOTARY_KEY_ID MACOS_NOTARY_ISSUER_ID] },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :individual_key,
    given: { 'MACOS_NOTARY_KEY' => :key_path, 'MACOS_NOTARY_KEY_ID' => :key_id },
    refuses: /map has no entry for key "MACOS_NOTARY_ISSUER_ID"/ },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :individual_key, warned: false,
    given: { 'MACOS_NOTARY_KEY' => :key_path, 'MACOS_NOTARY_KEY_ID' => :key_id, 'MACOS_NOTARY_ISSUER_ID' => :empty },
    note: 'an empty issuer', refuses: /will not try to notarize/ },
  { tool: 'goreleaser', reader: %w[goreleaser], kind: :apple_id,
    refuses: /map has no entry for key "MACOS_NOTARY_KEY"/ },

  # --- rcodesign
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :team_key, gives: KEY, takes: %w[APPLE_RCODESIGN_API_KEY_PATH] },
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :individual_key,
    given: { 'APPLE_RCODESIGN_API_KEY_PATH' => :rcodesign_json }, refuses: /missing field `issuer_id`/ },
  { tool: 'rcodesign', reader: %w[rcodesign], kind: :apple_id, refuses: /no --api-key-file to give/ }
].map { |row| Case.new(warned: row.key?(:refuses) || row.key?(:token_refused), **row) }.freeze
