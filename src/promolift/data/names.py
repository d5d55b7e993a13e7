"""Words of the trade: the names shops give to columns and events, in English and Chinese."""

from promolift.data.mapping import KINDS
from promolift.sql import literal

# What event logs call each kind of event.
KIND_WORDS: dict[str, tuple[str, ...]] = {
    "purchase": (
        *(
            "purchase",
            "purchased",
            "buy",
            "bought",
            "order",
            "ordered",
            "order completed",
            "order placed",
            "order paid",
        ),
        *(
            "debit",
            "withdrawal",
            "cash out",
            "card payment",
            "vydaj",
            "recharge",
            "topup",
            "top up",
            "subscription",
            "renewal",
            "充值",
            "消费",
        ),
        *(
            "transaction",
            "sale",
            "sold",
            "checkout completed",
            "payment",
            "paid",
            "pay",
            "购买",
            "下单",
            "支付",
            "成交",
            "付款",
        ),
    ),
    "view": (
        *(
            "view",
            "viewed",
            "pv",
            "page view",
            "pageview",
            "view item",
            "product viewed",
            "product view",
            "product detail",
        ),
        *(
            "detail",
            "click",
            "clicked",
            "browse",
            "product detail viewed",
            "visit",
            "impression detail",
            "item view",
            "view content",
            "浏览",
            "点击",
            "查看",
        ),
    ),
    "add_to_cart": (
        *(
            "add to cart",
            "addtocart",
            "cart",
            "product added",
            "added to cart",
            "add cart",
            "basket add",
            "add to basket",
        ),
        *("加购", "加入购物车", "购物车"),
    ),
    "refund": (
        *(
            "refund",
            "refunded",
            "return",
            "returned",
            "order refunded",
            "cancel",
            "cancelled",
            "canceled",
            "order cancelled",
        ),
        *("chargeback", "reversal", "credit note", "退款", "退货", "取消"),
    ),
    "other": (
        *(
            "other",
            "fav",
            "favorite",
            "favourite",
            "wishlist",
            "add to wishlist",
            "product added to wishlist",
            "collect",
            "remove from cart",
        ),
        *(
            "product removed",
            "cart viewed",
            "view cart",
            "begin checkout",
            "checkout started",
            "search",
            "products searched",
        ),
        *("credit", "deposit", "prijem", "transfer", "cash in", "interest", "fee", "存款", "转账"),
        *(
            "promotion viewed",
            "promotion clicked",
            "view promotion",
            "select promotion",
            "login",
            "session start",
            "收藏",
            "搜索",
            "登录",
        ),
    ),
}


# Parts of an order's status that say the money was not kept, and of one that says nothing against it (RE2 patterns).
GONE_STATUS = (
    "cancel|refund|return|void|fail|declin|reject|unpaid|abandon|revers|chargeback|取消|退货|退款|失败|关闭|未支付"
    "|storn|erstatt|annul|cancelad|rembours|reembols|devol|キャンセル|返品"
)
KEPT_STATUS = (
    "complet|deliver|ship|paid|success|approv|captur|settl|confirm|process|receiv|pending|完成|已付|成功|发货|签收"
)


# An order of which a part was given back still stands, as 'partially refunded'.
PART_STATUS = r"partial(ly)?[ _-]*\w+|部分退\w*"


def kind_word(word: str) -> str:
    """An event name as it is looked up: 'Add_To-Cart' becomes 'add to cart'. The same in SQL: `KIND_WORD_SQL`."""
    return word.strip().lower().replace("_", " ").replace("-", " ")


KIND_WORD_SQL = "replace(replace(lower(trim({0})), '_', ' '), '-', ' ')"
KIND_OF_WORD: dict[str, str] = {
    form: kind for kind in KINDS for word in KIND_WORDS[kind] for form in (f"{word}s", word)
}

# Column names per role (or table and role), best first, without capitals and signs: 'Customer ID' is 'customerid'.
COLUMN_NAMES: dict[str, str] = {
    "customer_id": """
        customeruniqueid customerid customer custid custcode custno custkey cust clientid client userid user uid
        memberid member membernumber memberno householdid householdkey household hhid visitorid visitor buyerid buyer
        shopperid shopper consumerid personid person reviewerid policyholderid policynumber policyno borrowerid cifno
        cif customernumber customerno customercode customerkey clientnumber accountid account accountnumber accountno
        accno acctid acctno cardid cardno cardnumber ccnum loyaltyid loyaltycard subscriberid subscriber msisdn
        phonenumber phone mobile mobileno nameorig userpseudoid anonymousid fullvisitorid distinctid deviceid cookieid
        guid openid unionid 用户id 用户 用户编号 客户id 客户 客户编号 客户号 会员卡号 會員卡號 會員編號 客戶編號
        顧客編號 会员id 会员 会员号 会员编号 顾客id 顾客 买家id 买家 手机号 卡号 账号 账户 买家手机号 手机号 手机
        买家会员名 买家昵称 msno customeremail useremail email billingemail 邮箱 kunde kundennr kundennummer kundenid
        kundin käufer numeroclient numclient idclient codeclient cliente idcliente clienteid codigocliente codcliente
        numerocliente 顧客id 会員番号 会員id お客様番号 customermobile customerphone emailaddress mail kundenemail
        correo buyeremail memberphone buyername
    """,
    "time": """
        time timestamp ts tsms datetime eventtime eventtimestamp eventdate eventdatetime date transactiontimestamp
        transactiontime transactiondatetime transactiondate transdatetranstime transdate transtime txndate txntime
        txnts transactiondt trandate invoicedate invoicedatetime invoicetime orderdate ordertime orderdatetime
        ordertimestamp orderpurchasetimestamp orderts purchasedate purchasetime purchasedatetime purchasetimestamp
        purchasedat saledate saletime saledatetime salesdate shopdate visitdate visittime visitstarttime hittime
        clicktime viewtime createdat created createtime createddate creationdate placedat orderedat paidat paymentdate
        paymenttime paytime processedat bookingdate postingdate valuedate callstart callstarttime calldate callstarted
        starttime startedat usagedate rechargedate originaltimestamp tdat dt day daynumber step week weekno 时间 日期
        时间戳 下单时间 购买时间 支付时间 交易时间 交易日期 订单时间 订单日期 创建时间 交易日期時間 交易日期 訂單日期
        日期時間 行为时间 访问时间 点击时间 浏览时间 消费时间 消费日期 datum zeit zeitpunkt bestelldatum kaufdatum
        rechnungsdatum belegdatum zeitstempel dateachat datecommande datefacture horodatage fecha fechahora
        fechacompra fechapedido fechaventa data datavenda dataacquisto dataordine datahora datacompra 日時 注文日
        購入日 購入日時 売上日 受注日
    """,
    "clock": "transtime transactiontime saletime timeofday shophour hour hourofday orderhour orderhourofday time 时刻",
    "received": "receivedat receivedtime servertime ingestedat ingesttime loadedat servertimestamp 接收时间",
    "event_id": """
        eventid messageid msgid eventuuid uuid hitid logid rowid transactionlineid lineid orderlineid orderitemid
        transnum transid txnid 事件id 流水号
    """,
    "kind": """
        eventtype eventname event behavior behaviour behaviortype behaviourtype action actiontype activitytype
        activity interaction interactiontype kind transactiontype transtype txntype operation type drcr creditdebit
        行为 行为类型 事件 事件类型 操作 类型 交易类型
    """,
    "promotions.kind": """
        kind campaigntype promotiontype offertype coupontype promotype type discountrate discount 类型 券类型 优惠类型
    """,
    "status": """
        status orderstatus financialstatus paymentstatus transactionstatus txnstatus 订单状态 交易状态 支付状态 状态
        bestellstatus statut estado estadopedido stato 状態
    """,
    "product_id": """
        productid product prodid prodcode productcode productno productkey productnumber itemid item itemcode itemno
        itemnumber articleid article articlecode articleno articlenumber sku skuid skucode stockcode stockid upc
        upccode ean gtin barcode plu asin parentasin goodsid goods goodscode contentid offerid planid plan packid
        packageid tariffid tariff serviceid productsku itemsku 商品id 商品 商品编号 商品编码 产品id 产品 产品编号 aid
        videoid movieid songid trackid bookid isbn businessid adid asinid 商品編號 产品号 货号 物品id 条码 套餐 套餐id
        artikel artikelnummer artikelnr artikelid produkt produktid produktnummer codearticle référence produit
        idproduit codeproduit producto idproducto codigoproducto codproducto articulo artículo produto codproduto
        prodotto codiceprodotto 商品コード 商品番号 品番
    """,
    "order_id": """
        orderid order orderno ordernumber ordercode invoiceno invoice invoiceid invoicenumber receiptid receipt
        receiptno receiptnumber basketid basket ticketid ticket ticketno billno billid transactionid transaction
        transactionno transactionnumber transid txnid cartid bookingid saleid salesid purchaseid checkoutid
        ecommercetransactionid 订单id 订单号 订单编号 订单 小票号 单号 交易号 发票号 bestellnummer bestellung
        bestellnr belegnummer beleg bon bonnummer bonnr rechnungsnummer rechnung auftrag auftragsnummer commande
        numerocommande idcommande numcommande facture numerofacture pedido numeropedido idpedido factura nfactura
        ordine numeroordine scontrino 注文番号 注文id 伝票番号 受注番号
    """,
    "sequence": "ordernumber orderno ordersequence sequence ordernum visitnumber visitno basketnumber 第几单",
    "session_id": "sessionid session usersession visitid visit gasessionid sid 会话id 会话",
    "store_id": """
        storeid store storecode storeno storenumber shopid shop shopcode branchid branch branchcode outletid outlet
        locationid location siteid site merchantid merchant merchantname sellerid seller market terminalid warehouse
        门店id 门店 店铺id 店铺 商店 商户 商家 网点 filiale markt magasin tienda sucursal negozio loja 店舗
    """,
    "channel": """
        channel saleschannel saleschannelid platform device devicetype source medium utmsource orderchannel 渠道 平台
        来源 设备
    """,
    "quantity": """
        quantity qty units unit unitssold quantitysold qtysold orderquantity orderqty itemquantity productquantity
        purchasequantity salesquantity salesqty numitems itemcount count pieces volume nbitems 数量 數量 件数 购买数量
        销量 menge anzahl stück stueck stk quantité quantite qté qte cantidad unidades quantità quantita qta
        quantidade qtd qtde 個数 点数
    """,
    "amount": """
        salesvalue salesamount saleamount sales sale revenue netrevenue linetotal linetotalprice lineamount rowtotal
        totalprice totalamount totalsales total itemtotal amount amt amountpaid paidamount paymentamount payment
        transactionamount transamount transamt txnamount txnamt purchaseamount purchasevalue ordervalue ordertotal
        orderamount spend spending turnover netamount netsales netprice extendedprice extprice value paid grandtotal
        charge charges actualamountpaid chargeamount rechargeamount topupamount cost trnsumfromiss salesprice
        subtotalafterdiscount amountcents amountminor revenuecents totalcents 金额 总价 总金额 销售额 实付 实付金额
        支付金额 付款金额 订单金额 消费金额 交易金额 成交金额 銷售金額 金額 總金額 betrag umsatz gesamtbetrag gesamt
        summe gesamtpreis montant montantttc importe importetotal monto valortotal totale importo valor 売上金額 合計
        合計金額 購入金額 支払金額 purchaserevenue eventvalue paidtotal totalpaid
    """,
    "unit_price": """
        unitprice price priceperunit itemprice productprice sellingprice saleprice priceeach unitcost rate
        finalunitprice pricecents unitpricecents priceminor actualprice finalprice discountedprice 商品单价 单价 价格
        售价 成交价 preis einzelpreis verkaufspreis stückpreis vkpreis vk prix prixunitaire prixvente precio
        preciounitario precioventa prezzo prezzounitario preço preco precounitario valorunitario 単価 販売価格
        paidprice pricepaid dealprice netunitprice 实付单价 实际售价
    """,
    "list_amount": """
        listamount grossamount grosssales grosstotal grossvalue subtotal amountbeforediscount totalbeforediscount
        originalamount listcents 原价总额 应付金额 应付
    """,
    "list_unit_price": """
        listprice listunitprice originalprice regularprice baseprice grossprice fullprice msrp rrp retailprice
        originalunitprice planlistprice compareatprice undiscountedprice pricebeforediscount unitpricebeforediscount
        原价 标价 吊牌价 listenpreis uvp normalpreis originalpreis prixcatalogue prixpublic preciolista preciooriginal
        pvp prezzolistino precolista 定価 mrp strikeprice tagprice markedprice stickerprice ticketprice
        maximumretailprice shelfprice basisprice
    """,
    "shelf_discount": """
        retaildisc discount discountamount discountvalue discounttotal totaldiscount linediscount itemdiscount disc
        promodiscount promotiondiscount markdown discountpercent discountpct discountrate discountpercentage
        shelfdiscount shelfcents 折扣 优惠 优惠金额 折扣金额 折扣率 rabatt rabattbetrag nachlass remise descuento
        sconto desconto 割引 割引額 値引 discounttaken
    """,
    "coupon_discount": """
        coupondisc coupondiscount couponamount couponvalue couponcents voucherdiscount vouchervalue voucheramount
        优惠券 券优惠 优惠券金额 gutschein gutscheinbetrag coupondiscountamount 券抵扣
    """,
    "dwell": """
        dwell dwelltime dwelltimes dwellms dwellseconds dwelltimems timeonpage timespent viewduration viewseconds
        durationseconds durationms pageduration engagementtimemsec engagementtime staytime stayseconds browsetime
        browseduration duration 浏览时长 停留时长 停留时间 浏览秒数
    """,
    "currency": """
        currency currencycode ccy curr 币种 货币 währung waehrung devise moneda divisa valuta moeda 通貨 币别
    """,
    "customers.name": """
        name customername fullname clientname username membername nickname shoppername buyername 姓名 客户姓名
        会员姓名 用户名 昵称 名称
    """,
    "products.name": """
        name productname productdisplayname displayname itemname description productdescription itemdescription
        producttitle title articlename prodname productdesc itemdesc desc 名称 商品名称 产品名称 品名 商品名 商品描述
        bezeichnung artikelbezeichnung artikelname produktname libellé libelle désignation designation nomproduit
        nombreproducto descripcion descripción descrizione nomeprodotto nomeproduto descricao descrição
    """,
    "sex": "sex gender sexid genderid custgender customergender 性别",
    "age": "age agegroup ageband agerange customerage 年龄 年龄段 年齡 年齡層",
    "occupation": "occupation job jobtitle profession work employment 职业 工作",
    "income": "income incomegroup incomeband incomerange annualincome salary householdincome 收入 年收入",
    "language": "language lang locale preferredlanguage contextlocale 语言",
    "consent": """
        consent optin marketingconsent marketingoptin acceptsmarketing emailoptin gdprconsent subscribed newsletter
        同意 营销同意
    """,
    "category": """
        category productcategory mastercategory itemcategory categoryname categorycode maincategory categoryid cat
        cat1 commoditydesc productgroup productgroupname productcategoryname productcategorynameenglish department
        aisle aisleid level2 prodcat genre genrename class group 类目 品类 分类 类别 商品类别 商品分类 商品分類
        一级类目 cate merchantcategoryid merchantcategory mcc warengruppe kategorie produktkategorie catégorie
        categorie rayon famille familia categoría categoria reparto カテゴリ カテゴリー 分類 productsubclass
    """,
    "type": """
        producttype articletype subcategory subcategoryname subcat producttypename itemtype subcommoditydesc subclass
        productsubclass cat2 level4 level3 type productsubcategory 子类 子类目 二级类目 小类
    """,
    "department": "department departmentname departmentid level1 dept division section productdepartment 部门 大类",
    "brand": "brand brandname brandid manufacturer maker vendor label 品牌 厂商",
    "price": """
        price listprice unitprice currentprice retailprice regularprice sellingprice saleprice priceeach productprice
        itemprice pricecents discountprice msrp baseprice catalogprice 价格 单价 售价 标价
    """,
    "cost": """
        cost unitcost costprice purchaseprice cogs wholesaleprice costcents buyingprice 成本 成本价 进价 进货价
        einkaufspreis ek ekpreis einstandspreis prixachat coût cout coste costo preciocosto custo precocusto 原価 仕入
        asset costofgoods goodscost unitcogs
    """,
    "campaign_id": """
        campaignid campaign campaignname campaigncode promotionid promotion promoid promo promocode promotionname
        offerid offer couponcampaign 活动id 活动 促销id 促销
    """,
    "start": """
        start startdate startday starttime startat startsat validfrom begindate begin from fromdate sentat senddate
        sendtime issuedat issuedate offerdate dateissued datereceived receiveddate receivedat week weekno date 开始
        开始时间 开始日期 发放时间 生效时间 生效日期
    """,
    "end": """
        end enddate endday endtime endsat validto validuntil expiry expirydate expirationdate expires expiresat
        expiredat to todate until endms 结束 结束时间 结束日期 过期时间 失效时间 截止时间
    """,
    "valid_days": "validdays validitydays duration durationdays daysvalid validity 有效天数 有效期",
    "redeemed_at": """
        redeemedat redeemdate redemptiondate redemptiontime redeemtime redeemed redeemedtime useddate usedat usedtime
        dateused date 核销时间 使用时间 核销日期 使用日期 领用时间
    """,
    "coupon_id": "couponid coupon couponupc couponcode voucher vouchercode voucherid code 优惠券id 优惠券 券码 券id",
    "display": "displaylocation display ondisplay displaytype 陈列",
    "mailer": "mailerlocation mailer mailing inmailer feature flyer 海报",
}
NAMES_OF: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in COLUMN_NAMES.items()}
# Names that could mean the event, the customer or the product where all three stand in one file.
UNCLEAR_INSIDE = frozenset(["name", "type", "class", "group", "label", "section", "offer", "promo", "名称", "类型"])
# Parts that exports put before the real name: 'properties.product_id', 'ecommerce_transaction_id', 'traits_age'.
PREFIXES = (
    "properties",
    "lineitems",
    "lines",
    "line",
    "item",
    "product",
    "order",
    "ecommerce",
    "items",
    "lineitem",
    "params",
    "eventparams",
    "context",
    "traits",
    "data",
    "payload",
    "fields",
    "view",
)
# Parts under which exports keep what is not of the event itself: 'device.category' is no product's category.
ELSEWHERE = (
    "device", "geo", "location", "browser", "os", "useragent", "appinfo", "trafficsource", "userproperties",
    "userltv", "privacyinfo", "eventdimensions", "network", "campaign", "collectedtrafficsource", "totals",
)  # fmt: skip
# Parts that exports put behind it: 'USER_ID_hash'.
ENDINGS = ("hash", "hashed", "encrypted", "enc", "desc", "masked", "anonymised", "anonymized")
# A date in three columns.
DATE_PARTS = (("year", "yr", "年"), ("month", "mon", "mm", "月"), ("day", "dayofmonth", "dd", "日"))
SYMBOLS = {
    "£": "GBP",
    "€": "EUR",
    "₹": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "元": "CNY",
    "円": "JPY",
    "R$": "BRL",
    "฿": "THB",
    "₫": "VND",
}
UNCLEAR_SYMBOLS = {"$": "USD", "¥": "CNY", "￥": "CNY"}
# What people write for a currency instead of its code.
CURRENCY_WORDS = {
    "RMB": "CNY", "CNH": "CNY", "人民币": "CNY", "YUAN": "CNY", "US$": "USD", "US DOLLAR": "USD", "EURO": "EUR",
    "EUROS": "EUR", "STG": "GBP", "NTD": "TWD", "NT$": "TWD", "HK$": "HKD", "港币": "HKD", "美元": "USD", "日元": "JPY",
    "欧元": "EUR", **SYMBOLS, **UNCLEAR_SYMBOLS,
}  # fmt: skip


def currency_code(text: str) -> str:
    """The code that a cell means, else the cell in capitals. The same in SQL: `currency_sql`."""
    said = text.strip().upper()
    return CURRENCY_WORDS.get(said, said)


def currency_sql(text: str) -> str:
    """SQL for `currency_code` of a text."""
    cases = " ".join(f"when {literal(word)} then {literal(code)}" for word, code in CURRENCY_WORDS.items())
    return f"(case upper({text}) {cases} else upper({text}) end)"


MINOR_ENDINGS = ("cents", "minor", "fen", "pence", "_分")
