# Runs as a later Step, and compares what it sees with its input `expect` (described in step.yml).
#
# Exits with status 1 if anything differs. Writes its results to a file for ../verify_run.rb, which checks the
# log of the whole run. Problems never contain a secret.

require 'csv'
require 'http-cookie'
require 'json'
require 'jwt'
require 'openssl'
require 'tempfile'
require 'yaml'

MANIFEST = JSON.parse(File.read(File.join(ENV.fetch('E2E_ROOT'), 'manifest.json')))

# The outputs by tool, with functions that return the expected value for a credential (c) and a run, or nil if the
# output must be absent.

ALWAYS = {
  'APPLE_AUTH_METHOD' => ->(c, _) { c['kind'] },
  'APPLE_AUTH_SOURCE' => ->(_, run) { run.source },
  'APPLE_AUTH_VERIFIED' => ->(_, run) { run.verified },
  'APPLE_APP_ID' => ->(_, _) {},
  'APPLE_SESSION_EXPIRES_AT' => ->(c, _) { c['expires_at'] },
  'APPLE_TEST_DEVICES_PATH' => ->(_, run) { run.file('APPLE_TEST_DEVICES_PATH') if run.devices? },
  'APPLE_TEST_DEVICE_LIST_PATH' => ->(_, run) { run.file('APPLE_TEST_DEVICE_LIST_PATH') if run.devices? },
  # Accepts any value for this output and for FASTLANE_SESSION, because check_token and check_session verify them.
  'APP_STORE_CONNECT_TOKEN' => ->(_, run) { run.actual('APP_STORE_CONNECT_TOKEN') || '' if run.token_lifetime },
  'APP_STORE_CONNECT_TOKEN_EXPIRES_AT' => ->(_, run) { run.token_expiry if run.token_lifetime },
  'APPLE_CREDENTIALS_DIR' => ->(_, run) { run.folder if run.folder? }
}.freeze

KEY_ID = ->(c, _) { c['key_id'] }
ISSUER_ID = ->(c, _) { c['issuer_id'] }
KEY_PATH = ->(_, run) { run.key_path if run.api_key? }
IN_HOUSE = ->(c, run) { c['enterprise'].to_s if run.api_key? }

TOOLS = {
  'bitrise' => {
    'APPLE_API_KEY_PATH' => KEY_PATH,
    'APPLE_API_KEY_URL' => ->(_, run) { "file://#{run.key_path}" if run.api_key? },
    'APPLE_API_KEY_ID' => KEY_ID,
    'APPLE_API_ISSUER' => ISSUER_ID,
    'APPLE_API_KEY_ENTERPRISE' => ->(c, run) { c['enterprise'] ? 'yes' : 'no' if run.api_key? }
  },
  'fastlane_api_key_path' => {
    'APP_STORE_CONNECT_API_KEY_PATH' => ->(_, run) { run.file('APP_STORE_CONNECT_API_KEY_PATH') if run.api_key? }
  },
  'fastlane' => {
    'APP_STORE_CONNECT_API_KEY_KEY_ID' => KEY_ID,
    'APP_STORE_CONNECT_API_KEY_ISSUER_ID' => ISSUER_ID,
    'APP_STORE_CONNECT_API_KEY_KEY_FILEPATH' => KEY_PATH,
    'APP_STORE_CONNECT_API_KEY_IN_HOUSE' => IN_HOUSE,
    'PRECHECK_INCLUDE_IN_APP_PURCHASES' => ->(_, run) { 'false' if run.api_key? },
    'FASTLANE_USER' => ->(c, _) { c['user'] },
    'FASTLANE_PASSWORD' => ->(c, _) { c['password'] },
    'FASTLANE_SESSION' => ->(c, run) { run.actual('FASTLANE_SESSION') || '' if c['session'] },
    'FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD' => ->(c, _) { c['app_password'] },
    'SPACESHIP_SKIP_2FA_UPGRADE' => ->(c, _) { '1' if c['kind'] == 'apple_id' },
    'SPACESHIP_2FA_SMS_DEFAULT_PHONE_NUMBER' => ->(_, _) {},
    'FASTLANE_TEAM_ID' => ->(_, _) {},
    'FASTLANE_ITC_TEAM_ID' => ->(_, _) {}
  },
  'xcode' => { 'API_PRIVATE_KEYS_DIR' => ->(_, run) { run.folder if run.api_key? } },
  'connection' => {
    'APPLE_CONNECTION_URL' => ->(_, run) { "file://#{run.connection_path}" },
    'BITRISE_PORTAL_DATA_JSON' => ->(_, run) { run.connection_text }
  },
  'spaceship' => {
    'SPACESHIP_CONNECT_API_KEY_ID' => KEY_ID,
    'SPACESHIP_CONNECT_API_ISSUER_ID' => ISSUER_ID,
    'SPACESHIP_CONNECT_API_KEY_FILEPATH' => KEY_PATH,
    'SPACESHIP_CONNECT_API_IN_HOUSE' => IN_HOUSE
  },
  'asc' => {
    'ASC_KEY_ID' => KEY_ID,
    'ASC_ISSUER_ID' => ISSUER_ID,
    'ASC_PRIVATE_KEY_PATH' => KEY_PATH,
    'ASC_KEY_TYPE' => ->(_, run) { 'individual' if run.individual_key? }
  },
  'codemagic' => {
    'APP_STORE_CONNECT_KEY_IDENTIFIER' => KEY_ID,
    'APP_STORE_CONNECT_ISSUER_ID' => ISSUER_ID,
    'APP_STORE_CONNECT_PRIVATE_KEY' => ->(_, run) { "@file:#{run.key_path}" if run.api_key? }
  },
  'expo' => {
    'EXPO_ASC_KEY_ID' => KEY_ID,
    'EXPO_ASC_ISSUER_ID' => ISSUER_ID,
    'EXPO_ASC_API_KEY_PATH' => KEY_PATH,
    'EXPO_APPLE_TEAM_TYPE' => ->(c, run) { c['enterprise'] ? 'IN_HOUSE' : 'COMPANY_OR_ORGANIZATION' if run.api_key? }
  },
  'tauri' => { 'APPLE_API_KEY' => KEY_ID, 'APPLE_API_ISSUER' => ISSUER_ID, 'APPLE_API_KEY_PATH' => KEY_PATH },
  'electron' => { 'APPLE_API_KEY' => KEY_PATH, 'APPLE_API_KEY_ID' => KEY_ID, 'APPLE_API_ISSUER' => ISSUER_ID },
  'goreleaser' => {
    'MACOS_NOTARY_KEY' => KEY_PATH, 'MACOS_NOTARY_KEY_ID' => KEY_ID, 'MACOS_NOTARY_ISSUER_ID' => ISSUER_ID
  },
  'quill' => { 'QUILL_NOTARY_KEY' => KEY_PATH, 'QUILL_NOTARY_KEY_ID' => KEY_ID, 'QUILL_NOTARY_ISSUER' => ISSUER_ID },
  'rcodesign' => {
    'APPLE_RCODESIGN_API_KEY_PATH' => ->(_, run) { run.file('APPLE_RCODESIGN_API_KEY_PATH') if run.api_key? }
  }
}.freeze

CHECK_OUTPUTS = %w[APPLE_AUTH_METHOD APPLE_AUTH_SOURCE APPLE_AUTH_VERIFIED APPLE_SESSION_EXPIRES_AT APPLE_APP_ID].freeze

SECRET_OUTPUTS = %w[FASTLANE_PASSWORD FASTLANE_SESSION FASTLANE_APPLE_APPLICATION_SPECIFIC_PASSWORD
                    BITRISE_PORTAL_DATA_JSON APP_STORE_CONNECT_TOKEN].freeze

# Outputs that contain the path of a file.
FILE_OUTPUTS = /(?:_PATH|_FILEPATH|_URL|\AAPP_STORE_CONNECT_PRIVATE_KEY)\z/.freeze

OUTPUTS = [ALWAYS, *TOOLS.values].reduce(:merge).freeze

MARKER = '.apple-services-connection'.freeze

# Variables that do not come from the Step under test, but from the machine, the CLI, the project or e2e/assert.
NOT_OUTPUTS = /\A(?:PATH|HOME|TMPDIR|PWD|OLDPWD|SHLVL|_|LANG|CI|PR|GEM_PATH|HTTPS?_PROXY|expect
                 |E2E_.*|BITRISE.*|ENVMAN_.*|STEPLIB_BUILD_STATUS|TEAM_.*)\z/x.freeze

EXPECT_KEYS = %w[credential source check verified export_for devices token outputs kept removed prefix folders error
                 error_of_another_step uploaded report log not_in_log requests].freeze

# One run of the Step: compares the expected outputs and files with the actual ones.
class Run
  attr_reader :expected, :credential, :problems

  def initialize(expected)
    @expected = expected
    @problems = (expected.keys - EXPECT_KEYS).map { |key| "`expect` has the unknown key #{key}" }
    name = expected['credential']
    @credential = name == 'none' ? { 'kind' => 'none' } : MANIFEST.fetch('credentials').fetch(name) if name
  end

  def source
    @expected.fetch('source')
  end

  def prefix
    @expected.fetch('prefix', '')
  end

  # To later Steps, the CLI passes an unset output as an empty one (in 2.30.6, `EnvmanAddEnvs` ignores `unset`),
  # so removed outputs are empty.
  def actual(name)
    value = ENV.fetch(prefix + name, nil)
    value unless value == '' && @expected['removed'] == 'yes'
  end

  def api_key?
    @credential && @credential['kind'] == 'api_key'
  end

  def individual_key?
    api_key? && @credential['issuer_id'].nil?
  end

  # An Apple ID can only be verified with a session.
  def verified
    verifiable = api_key? || (@credential['session'] && !@expected.fetch('outputs', {}).key?('FASTLANE_SESSION'))
    @expected.fetch('verified', verifiable ? 'yes' : 'no')
  end

  # `action: check` exports only its result.
  def check?
    @expected['check'] == 'yes'
  end

  def tools
    return [] if check?

    @expected.fetch('export_for', 'bitrise,fastlane,fastlane_api_key_path,xcode').split(',')
  end

  def devices?
    @expected['devices'] == 'yes'
  end

  # In seconds; nil if no token is exported.
  def token_lifetime
    @expected['token']&.to_i
  end

  # The Step writes files only for the outputs of the selected tools.
  def folder?
    !check? && (devices? || tools.include?('connection') || api_key?)
  end

  # The folder has a random name, so its path is read from one output. All other paths are compared with it.
  def folder
    actual('APPLE_CREDENTIALS_DIR').to_s
  end

  def key_path
    File.join(folder, "#{individual_key? ? 'ApiKey' : 'AuthKey'}_#{@credential['key_id']}.p8")
  end

  # The file can have any name, but must be in the folder.
  def file(output)
    path = actual(output).to_s
    File.dirname(path) == folder && File.file?(path) ? path : File.join(folder, '<file>')
  end

  def connection_path
    path = actual('APPLE_CONNECTION_URL').to_s.delete_prefix('file://')
    File.dirname(path) == folder ? path : File.join(folder, '<file>')
  end

  def connection_text
    File.read(connection_path)
  rescue SystemCallError
    ''
  end

  # The expiry date that the token itself contains.
  def token_expiry
    exp = JWT.decode(actual('APP_STORE_CONNECT_TOKEN'), nil, false)[0]['exp']
    Time.at(exp).utc.strftime('%Y-%m-%dT%H:%M:%SZ')
  rescue JWT::DecodeError
    ''
  end

  # The outputs that a later Step must see.
  def outputs
    return {} unless @credential

    table = check? ? ALWAYS.slice(*CHECK_OUTPUTS) : [ALWAYS, *TOOLS.values_at(*tools)].reduce(:merge)
    values = table.transform_values { |value| value.call(@credential, self) }
    values.merge(@expected.fetch('outputs', {}).transform_values { |value| resolve(value) }).compact
  end

  def check
    check_outputs
    check_secrecy
    check_files if @credential && folder? && @problems.empty?
    check_token if token_lifetime && actual('APP_STORE_CONNECT_TOKEN')
    check_session if outputs['FASTLANE_SESSION'] && actual('FASTLANE_SESSION')
  end

  def problem(text)
    @problems << text
  end

  private

  def resolve(value)
    value.is_a?(String) && value.start_with?('$') ? ENV.fetch(value[1..]) : value
  end

  def check_outputs
    (OUTPUTS.keys | outputs.keys).each do |name|
      expected = outputs[name]
      found = actual(name)
      next if found == expected

      if found.nil? then problem("#{prefix}#{name} is absent")
      elsif expected.nil? then problem("#{prefix}#{name} is set")
      elsif SECRET_OUTPUTS.include?(name) then problem("#{prefix}#{name} has another value")
      else problem("#{prefix}#{name} is #{found.inspect}, not #{expected.inspect}")
      end
    end
  end

  # The CLI lists the secret variables in BITRISE_SECRET_ENV_KEY_LIST.
  def check_secrecy
    secret_variables = ENV.fetch('BITRISE_SECRET_ENV_KEY_LIST').split(',')
    outputs.each_key do |name|
      is_secret = SECRET_OUTPUTS.include?(name)
      next if secret_variables.include?(prefix + name) == is_secret

      problem("#{prefix}#{name} is #{is_secret ? 'not ' : ''}marked as sensitive")
    end
  end

  def check_files
    temporary = File.realpath(ENV.fetch('TMPDIR'))
    unless File.realpath(folder) == File.join(temporary, File.basename(folder)) &&
           File.basename(folder).start_with?('apple-services-connection-')
      problem("#{folder} is not a folder that the Step creates in #{temporary}")
    end
    check_mode(folder, 0o40700)
    Dir.children(folder).each { |name| check_mode(File.join(folder, name), 0o100600) }
    check_children
    check_key if File.exist?(key_path)
    check_json if outputs['APP_STORE_CONNECT_API_KEY_PATH']
    check_connection if outputs['APPLE_CONNECTION_URL']
    check_devices if devices?
  end

  # The folder must contain only the files that outputs name, and the marker by which the Step recognizes its folder.
  def check_children
    paths = outputs.select { |name, _| FILE_OUTPUTS.match?(name) }.values.map { |value| value[%r{/.*}] }
    paths << key_path if outputs['API_PRIVATE_KEYS_DIR'] || outputs['APPLE_API_KEY'] == key_path
    expected = [MARKER, *paths.map { |path| File.basename(path) }].uniq.sort
    found = Dir.children(folder).sort
    problem("#{folder} contains #{found}, not #{expected}") if found != expected
  end

  def check_mode(path, expected)
    stat = File.lstat(path)
    mode = stat.mode
    problem(format('%<path>s has mode %<mode>o, not %<expected>o', path: path, mode: mode, expected: expected)) if mode != expected
    problem("#{path} belongs to another user") unless stat.owned?
  end

  def check_key
    pem = File.read(key_path)
    problem("#{key_path} is not the key's canonical PEM") if pem != @credential['pem']
    check_signature(key_path, pem)
  end

  # Signs like fastlane's Spaceship::ConnectAPI::Token.
  def check_signature(path, pem)
    claims = { 'iss' => @credential['issuer_id'], 'exp' => Time.now.to_i + 500, 'aud' => 'appstoreconnect-v1' }
    token = JWT.encode(claims, OpenSSL::PKey::EC.new(pem), 'ES256', { kid: @credential['key_id'], typ: 'JWT' })
    public_key = OpenSSL::PKey::EC.new(@credential['public_pem'])
    problem("the claims of a token signed with #{path} differ") if JWT.decode(token, public_key, true, algorithm: 'ES256')[0] != claims
  rescue OpenSSL::PKey::PKeyError, JWT::DecodeError => e
    problem("#{path} does not contain this key: #{e.class}")
  end

  # Reads like fastlane's Spaceship::ConnectAPI::Token.from_json_file.
  def check_json
    json_path = file('APP_STORE_CONNECT_API_KEY_PATH')
    json = JSON.parse(File.read(json_path), { symbolize_names: true })
    key = json.delete(:key)
    problem("the key in #{json_path} is not its canonical PEM") if key != @credential['pem']
    check_signature(json_path, key.to_s)
    duration = json.delete(:duration)
    problem("#{json_path} has a duration of #{duration}") unless duration.nil? || (1..1200).cover?(duration)
    expected = { key_id: @credential['key_id'], issuer_id: @credential['issuer_id'], in_house: @credential['enterprise'] }.compact
    problem("#{json_path} contains #{json} besides the key, not #{expected}") if json != expected
  rescue JSON::ParserError
    problem("#{json_path} is not JSON")
  end

  # The file must contain exactly the connection that Bitrise would serve for this credential.
  def check_connection
    found = JSON.parse(connection_text)
    found.fetch('session_cookies', {}).each_value { |cookies| cookies.sort_by! { |cookie| cookie['name'] } }
    expected = {
      'key_id' => 'key_id', 'issuer_id' => 'issuer_id', 'private_key' => 'pem', 'is_enterprise_account' => 'enterprise',
      'apple_id' => 'user', 'password' => 'password', 'app_specific_password' => 'app_password',
      'connection_expiry_date' => 'expires_at'
    }.transform_values { |name| @credential[name] }.compact
    session = @credential['session']
    expected['session_cookies'] = { 'https://idmsa.apple.com' => connection_cookies(session) } if session
    expected['test_devices'] = (devices? ? MANIFEST['devices'] : []).map do |udid, title, platform|
      { 'device_identifier' => udid, 'title' => title, 'device_type' => platform }
    end
    different = (found.keys | expected.keys).reject { |name| found[name] == expected[name] }
    problem("the connection file differs in #{different.join(', ')}") if different.any?
  rescue JSON::ParserError
    problem("#{connection_path} is not JSON")
  end

  # Bitrise omits `for_domain` if it is true, and ios-auto-provision fails if the file has `true`.
  def connection_cookies(session)
    cookies = session.map { |cookie| cookie['for_domain'] ? cookie.except('for_domain') : cookie }
    cookies.sort_by { |cookie| cookie['name'] }
  end

  # Reads the first file like fastlane's register_devices. The second has the format of Bitrise's
  # test_device_list_path.
  def check_devices
    rows = CSV.read(file('APPLE_TEST_DEVICES_PATH'), col_sep: "\t")
    expected = [['Device ID', 'Device Name', 'Device Platform'], *MANIFEST['devices']]
    problem("the devices are #{rows}, not #{expected}") if rows != expected
    list = File.read(file('APPLE_TEST_DEVICE_LIST_PATH'))
    expected = MANIFEST['devices'].map(&:first).join(',')
    problem("the list of devices is #{list.inspect}, not #{expected.inspect}") if list != expected
  end

  # The token must be signed by this key, in the last minute, with the requested lifetime. The Step sets `iat` 60 s
  # before the time of signing.
  def check_token
    public_key = OpenSSL::PKey::EC.new(@credential['public_pem'])
    claims, header = JWT.decode(actual('APP_STORE_CONNECT_TOKEN'), public_key, true, algorithm: 'ES256', verify_iat: true)
    subject = @credential['issuer_id'] ? { 'iss' => @credential['issuer_id'] } : { 'sub' => 'user' }
    audience = @credential['enterprise'] ? 'apple-developer-enterprise-v1' : 'appstoreconnect-v1'
    rest = claims.reject { |name, _| %w[iat exp].include?(name) }
    problem("the token has the claims #{rest}") if rest != subject.merge('aud' => audience)
    problem("the token has the header #{header}") if header != { 'typ' => 'JWT', 'alg' => 'ES256', 'kid' => @credential['key_id'] }
    left = claims['exp'] - Time.now.to_i
    problem("the token expires in #{left} s") unless (token_lifetime - 60..token_lifetime).cover?(left)
    problem("the token is valid for #{claims['exp'] - claims['iat']} s") if claims['exp'] - claims['iat'] != token_lifetime + 60
  rescue JWT::DecodeError => e
    problem("APP_STORE_CONNECT_TOKEN is not signed by this key: #{e.class}")
  end

  # Loads like fastlane's Spaceship::Client#load_session_from_env.
  def check_session
    jar = HTTP::CookieJar.new
    Tempfile.create('cookie.yml') do |file|
      file.write(actual('FASTLANE_SESSION').gsub('\\n', "\n"))
      file.close
      jar.load(file.path)
    end
    compare_cookies(jar.map { |cookie| properties(cookie) }, @credential['session'])
  rescue ArgumentError, TypeError, Psych::Exception => e
    problem("#{prefix}FASTLANE_SESSION cannot be loaded: #{e.class}")
  end

  def properties(cookie)
    { 'name' => cookie.name, 'value' => cookie.value, 'domain' => cookie.domain, 'for_domain' => cookie.for_domain?,
      'path' => cookie.path, 'secure' => cookie.secure?, 'httponly' => cookie.httponly? }
  end

  def compare_cookies(found, expected)
    found = found.to_h { |cookie| [cookie['name'], cookie] }
    expected = expected.to_h { |cookie| [cookie['name'], cookie] }
    (found.keys | expected.keys).sort.each do |name|
      if !found.key?(name) then problem("the session lacks the cookie #{name}")
      elsif !expected.key?(name) then problem("the session has an unexpected cookie #{name}")
      else
        different = expected[name].reject { |property, value| found[name][property] == value }.keys
        problem("the session's cookie #{name} differs in #{different.join(', ')}") if different.any?
      end
    end
  end
end

# Converts a YAML node to Ruby values. All scalars become strings, except `null`.
def load_strings(node)
  case node
  when Psych::Nodes::Document then load_strings(node.root)
  when Psych::Nodes::Mapping then node.children.each_slice(2).to_h { |key, value| [load_strings(key), load_strings(value)] }
  when Psych::Nodes::Sequence then node.children.map { |child| load_strings(child) }
  when Psych::Nodes::Scalar then node.value unless node.value == 'null' && !node.quoted
  else raise ArgumentError, "`expect` contains a #{node.class}"
  end
end

# Checks that the runs left no unexpected variables or folders, and that an upload ran if and only if one was expected.
def check_leftovers(runs)
  known = runs.flat_map { |run| (OUTPUTS.keys | run.outputs.keys).map { |name| run.prefix + name } }
  unexpected = ENV.keys.grep_v(NOT_OUTPUTS) - known
  expected = runs.sum { |run| run.expected.fetch('folders', run.credential && run.folder? ? 1 : 0).to_i }
  found = Dir.glob(File.join(ENV.fetch('TMPDIR'), '{,.}apple-services-connection-*')).length
  upload_expected = runs.map { |run| run.expected['uploaded'] }.include?('yes')
  upload_ran = File.exist?(File.join(ENV.fetch('TMPDIR'), 'uploaded'))
  [
    *unexpected.map { |name| "#{name} is set unexpectedly" },
    *("the Step left #{found} folders, not #{expected}" if found != expected),
    *(upload_ran ? 'the upload ran' : 'the upload did not run' if upload_ran != upload_expected)
  ]
end

# The last annotation on the build's page that the stand-in accepted.
def annotation
  lines = File.readlines(File.join(ENV.fetch('E2E_ROOT'), 'requests.jsonl')).drop(ENV.fetch('E2E_EARLIER_REQUESTS').to_i)
  written = lines.map { |line| JSON.parse(line) }.select { |request| request['service'] == 'annotations' && request['verdict'] == 'ok' }
  JSON.parse(written.last['body']) if written.any?
end

def check_summary(run)
  written = annotation
  return ['the Step wrote no summary on the build\'s page'] unless written

  page = written['markdown']
  error = ENV.fetch('BITRISE_FAILED_STEP_ERROR_MESSAGE', nil) if run.expected['error']
  style = if error then 'error'
          elsif page.include?("\n**Warnings**\n") then 'warning'
          else 'info'
          end
  secrets = SECRET_OUTPUTS.map { |name| [name, run.actual(name)] } + MANIFEST['never_logged'].to_a
  rows = (run.outputs.keys - Array(run.expected['kept'])).map { |name| "\n- `#{name}`: " }
  mark = { 'yes' => '- **Verified:** ✅ ', 'no' => /- \*\*Verified:\*\* (?:⚠️|⚪) / }[run.verified] if run.credential&.key?('kind')
  mark = nil if run.credential == { 'kind' => 'none' }
  # The page without the characters that escape Markdown.
  text = page.gsub(/\\([[:punct:]])/, '\1').delete("\u2060")
  [
    *('the summary has no heading' unless page.match?(/\A### \S/)),
    *("the summary has the context #{written['context']}" if written['context'] != 'apple-services-connection'),
    *("the summary has the style #{written['style']}, not #{style}" if written['style'] != style),
    *secrets.select { |_, value| value && page.include?(value) }.map { |name, _| "the summary contains #{name}" },
    *rows.reject { |row| page.include?(row) }.map { |row| "the summary has no row #{row.strip}" },
    *('the summary does not collapse its outputs' if rows.any? && !page.match?(%r{^<details><summary>Outputs \(\d+\)</summary>$.*^</details>$}m)),
    *('the summary does not say whether the credential is verified' if mark && !page.index(mark)),
    *('the summary does not show the error' if error && !text.include?("\n❌ **#{error}**\n")),
    *Array(run.expected['report']).reject { |regex| text.match?(/#{regex}/i) }.map { |regex| "the summary does not match /#{regex}/" }
  ]
end

def check_error(expected)
  message = ENV.fetch('BITRISE_FAILED_STEP_ERROR_MESSAGE', nil)
  return ["a step failed: #{message}"] if message && !expected
  return [] unless expected
  return ['no step failed'] unless message

  [
    *Array(expected).reject { |regex| message.match?(/#{regex}/i) }.map { |regex| "the CLI's error does not match /#{regex}/: #{message}" },
    *("the CLI's error has several lines: #{message.inspect}" if message.match?(/[\n\r\e]/)),
    *("the CLI truncates this error of #{message.bytesize} bytes" if message.bytesize >= 1024)
  ]
end

runs = []
begin
  runs = [load_strings(YAML.parse(ENV.fetch('expect')))].flatten.map { |expected| Run.new(expected) }
  runs.each(&:check)
  errors = runs.map { |run| run.expected.values_at('error', 'error_of_another_step') }.flatten(1).compact
  problems = runs.flat_map(&:problems) + check_leftovers(runs) + check_summary(runs.last) + check_error(errors.first)
rescue StandardError => e
  problems = ["the assertion itself failed: #{e.class} at #{e.backtrace.first}"]
end

# Prints the outputs, as a careless later Step would. verify_run.rb checks that the CLI redacts the secret ones.
printed = runs.flat_map { |run| run.outputs.keys.map { |name| [run.prefix + name, SECRET_OUTPUTS.include?(name)] } }
              .select { |name, _| ENV.key?(name) }
printed.each { |name, _| puts "<<<#{name}", ENV.fetch(name), ">>>#{name}" }

results = ENV.fetch('E2E_RESULTS')
result = {
  expected: runs.map(&:expected), error: ENV.fetch('BITRISE_FAILED_STEP_ERROR_MESSAGE', nil), problems: problems,
  printed: printed.to_h { |name, secret| [name, { secret: secret, value: ENV.fetch(name) }] }
}
File.write(File.join(results, "#{Dir.children(results).length}.json"), JSON.generate(result))

problems.each { |text| puts "\e[31;1m#{text}\e[0m" }
exit 1 if problems.any?
